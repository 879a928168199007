// A stand-in for the server, for `selftest.mjs` and the measurement only: its links, action
// pages and refusals answer with the headers of the real ones.
import { listen, page } from './servers.mjs';

const GIF = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64');

/** Serves /c/ (link), /a/ (action page), /u/ (done page), /o/ (pixel); logs each request.
 *  `pages` are mailbox pages on the link's own origin. */
export async function standIn(destination, { refuse = 425, formAction } = {}) {
  const log = [];
  const pages = new Map();
  const allowed = formAction ?? `'self' ${new URL(destination).origin}`;
  const csp = `default-src 'none'; style-src 'self'; img-src 'self' data:; `
    + `form-action ${allowed}; base-uri 'none'; frame-ancestors 'none'`;
  const html = { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': csp,
    'referrer-policy': 'same-origin', 'cache-control': 'no-store',
    'x-content-type-options': 'nosniff' };
  const away = { location: destination, 'cache-control': 'no-store',
    'referrer-policy': 'no-referrer' };

  const port = await listen((request, response) => {
    const { method, url, headers } = request;
    const purpose = headers['sec-purpose'] ?? headers.purpose ?? headers['x-moz'] ?? null;
    const entry = { method, url, purpose, headers, answered: false };
    log.push(entry);
    response.on('finish', () => { entry.answered = true; });
    const answer = (status, more, body) => {
      response.writeHead(status, more);
      response.end(body);
    };
    request.resume();
    if (url.startsWith('/o/')) {
      return answer(200, { 'content-type': 'image/gif', 'cache-control': 'no-store' }, GIF);
    }
    if (pages.has(url)) {
      return answer(200, { 'content-type': html['content-type'] }, pages.get(url));
    }
    if (!/^\/[cau]\//.test(url)) return answer(404, html, page('Not found', ''));
    if (purpose && refuse === 302) return answer(302, away);
    if (purpose && refuse === 200) return answer(200, html, page('Ahead', '<p>Ahead</p>'));
    if (purpose) return answer(refuse, { 'cache-control': 'no-store' });
    if (url.startsWith('/c/')) return answer(302, away);
    if (method === 'POST' && url.startsWith('/u/')) {
      return answer(200, html, page('Unsubscribed', '<h1>Done</h1>'));
    }
    if (method === 'POST') return answer(303, away);
    return answer(200, html, page('Please confirm',
      '<form method="post"><button>Confirm</button></form>'));
  });
  return { origin: `http://127.0.0.1:${port}`, log, pages };
}
