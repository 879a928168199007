// Which answer to a speculative load lets the later click through? `node measure-refusals.mjs
// [engine …]` prints the table of docs/decisions/0001-refused-prefetch-status.md.
//
// Each cell is a new browser: a mailbox page loads the link ahead, the stand-in refuses with
// the status measured, and then the link is clicked with the mouse.
import { Chromium } from './chromium.mjs';
import { COMMANDS, prefetchLink, speculateThenClick } from './commands.mjs';
import { Firefox } from './firefox.mjs';
import { endAll, until } from './process.mjs';
import { Destination, Mailbox, page } from './servers.mjs';
import { standIn } from './stand-in.mjs';
import { WebKit } from './webkit.mjs';

const STATUSES = [425, 403, 503, 204, 200, 302];
const EVERYWHERE = ['same-origin', 'same-site', 'other-site'];
const MEASURED = {
  chromium: { engine: Chromium, options: {}, ways: {
    'prerender-then-click': EVERYWHERE,
    'speculative-prefetch-then-click': EVERYWHERE,
    'prefetch-then-click': EVERYWHERE,
  } },
  firefox: { engine: Firefox, options: {}, ways: { 'prefetch-then-click': EVERYWHERE } },
  // Off unless asked for: WebKitGTK 2.50 does not prefetch as it is delivered.
  webkit: { engine: WebKit, options: { features: ['+LinkPrefetch'] },
    ways: { 'prefetch, seen by the server': EVERYWHERE } },
};

/** For an engine that tells its page nothing: the server sees the prefetch come. */
async function prefetchSeenByServer(browser, context, line) {
  const head = prefetchLink(line.url);
  return speculateThenClick(browser, context, line, head, async (waitMs) => {
    const seen = await until(waitMs, async () =>
      context.server.log.find((each) => each.url === '/c/t/1' && each.answered));
    // No event tells when the engine has taken the answer in.
    await new Promise((taken) => setTimeout(taken, 500));
    return seen && { status: 'answered', reason: null };
  });
}

async function cell({ engine, options }, way, from, refuse) {
  const destination = await Destination.open();
  const server = await standIn(destination.landing, { refuse });
  const other = await Mailbox.open();
  const mailbox = { show(url, relation, body, head) {
    if (relation !== 'same-origin') return other.show(url, relation, body, head);
    server.pages.set('/mail', page('Mailbox', body, head));
    return `${server.origin}/mail`;
  } };
  const url = `${server.origin}/c/t/1`;
  let note = '';
  let failed = false;
  const browser = await engine.launch(options);
  try {
    const run = COMMANDS[way] ?? prefetchSeenByServer;
    const seen = await run(browser, { mailbox, server }, { url, from, wait_ms: 4000 });
    note = seen.speculation.reason ?? '';
  } catch (error) {
    note = error.message;
    failed = true;
  }
  endAll();
  const hits = server.log.filter((each) => each.url === '/c/t/1');
  const header = ({ headers }) => ['sec-purpose', 'purpose', 'x-moz']
    .filter((name) => headers[name]).map((name) => `${name}: ${headers[name]}`).join(', ');
  const ahead = hits.filter((each) => each.purpose).map(header);
  const clicks = hits.length - ahead.length;
  const landed = destination.requests.filter((each) => each.url === '/landing').length;
  const verdict = !ahead.length ? 'not loaded ahead'
    : failed ? 'not measured'
    : clicks ? 'click arrives' : landed ? 'click hidden' : 'no click';
  return { way, from, refuse, ahead: ahead.join(' + '), clicks, landed, verdict, note };
}

process.on('exit', endAll);
const asked = process.argv.slice(2);
for (const [name, measured] of Object.entries(MEASURED)) {
  if (asked.length && !asked.includes(name)) continue;
  for (const [way, relations] of Object.entries(measured.ways)) {
    for (const from of relations) {
      for (const refuse of STATUSES) {
        console.log(JSON.stringify({ name, ...await cell(measured, way, from, refuse) }));
      }
    }
  }
}
