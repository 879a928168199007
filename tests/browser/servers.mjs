// The two origins around the server under test: the mailbox a link is clicked in, and the
// destination it leads to. Both listen on a loopback port of their own.
import { createServer } from 'node:http';

/** Starts `handler` on a free loopback port; answers the port. */
export function listen(handler) {
  return new Promise((resolve, reject) => {
    const server = createServer(handler).on('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(server.address().port));
    server.unref();
  });
}

export const escape = (text) => text.replace(/[&<>"']/g, (found) => `&#${found.charCodeAt(0)};`);

export function page(title, body, head = '') {
  return '<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,">'
    + `<title>${escape(title)}</title>${head}<body>${body}</body></html>`;
}

/** Pages of another origin than the link's: what a reader has open before the click. */
export class Mailbox {
  #pages = new Map();

  static async open() {
    const self = new Mailbox();
    self.port = await listen((request, response) => {
      const found = self.#pages.get(request.url);
      response.writeHead(found ? 200 : 404,
        { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
      response.end(found ?? '');
    });
    return self;
  }

  /** The address of a page with this body, on another site than `url`, or on the same one. */
  show(url, relation, body, head) {
    const there = new URL(url).hostname;
    const names = ['127.0.0.1', 'localhost'];
    const host = relation === 'same-site' ? there : names.find((name) => name !== there);
    if (!names.includes(host)) throw new Error(`${there} has no other port on loopback`);
    const path = `/mail/${this.#pages.size + 1}`;
    this.#pages.set(path, page('Mailbox', body, head));
    return `http://${host}:${this.port}${path}`;
  }
}

/** Answers every path with a small page, and remembers each request with its headers. */
export class Destination {
  requests = [];

  /** With `redirects`, what is linked is one more origin, which sends on to the landing page. */
  static async open({ host = '127.0.0.1', redirects = false } = {}) {
    const self = new Destination();
    const port = await listen((request, response) => {
      const { method, url, headers } = request;
      self.requests.push({ method, url, headers });
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
      response.end(page('Landed', '<h1>Landed</h1>'));
    });
    self.origin = `http://${host}:${port}`;
    self.landing = `${self.origin}/landing`;
    self.linked = self.landing;
    if (redirects) {
      const hop = await listen((_, response) => {
        response.writeHead(302, { location: self.landing });
        response.end();
      });
      self.linked = `http://${host}:${hop}/moved`;
    }
    return self;
  }
}
