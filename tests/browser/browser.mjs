// One real browser, told what to do by one JSON object a line, answering with one a line.
//
//   node browser.mjs chromium|firefox|webkit [--headful]
//
// It first says {"ok":true,"ready":ENGINE,"version":…}. Every answer has "ok" and "do"; a
// command that failed answers {"ok":false,"do":…,"error":…} and the browser stays usable.
// End of input ends it with code 0; a browser that cannot start, or COMMAND_MS without an
// answer, ends it with code 1 after a line that says why. README.md lists the commands.
import { createInterface } from 'node:readline';
import { Chromium } from './chromium.mjs';
import { COMMANDS } from './commands.mjs';
import { Firefox } from './firefox.mjs';
import { endAll, within } from './process.mjs';
import { Destination, Mailbox } from './servers.mjs';
import { WebKit } from './webkit.mjs';

const ENGINES = { chromium: Chromium, firefox: Firefox, webkit: WebKit };
const START_MS = 90_000;
const COMMAND_MS = 60_000;

const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

function fail(error) {
  say({ ok: false, do: null, error: String(error?.message ?? error) });
  endAll();
  process.exit(1);
}

process.on('exit', endAll);
process.on('uncaughtException', fail);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

const [name, ...options] = process.argv.slice(2);
if (!ENGINES[name] || options.some((each) => each !== '--headful')) {
  fail('usage: node browser.mjs chromium|firefox|webkit [--headful]');
}

// The destinations opened so far; the log holds what reached any of them.
const context = { mailbox: await Mailbox.open(), destinations: [] };

const WITHOUT_BROWSER = {
  async 'open-destination'(_, { host, redirects }) {
    const opened = await Destination.open({ host, redirects });
    context.destinations.push(opened);
    return { destination: opened.linked, landing: opened.landing };
  },
  async 'destination-log'(_, { clear }) {
    const requests = context.destinations.flatMap((each) => each.requests);
    if (clear) for (const each of context.destinations) each.requests.length = 0;
    return { requests };
  },
};

async function obey(browser, text) {
  let line;
  try {
    line = JSON.parse(text);
  } catch {
    return { ok: false, do: null, error: 'not a line of JSON' };
  }
  const { do: what } = line;
  const run = WITHOUT_BROWSER[what];
  const drive = COMMANDS[what];
  if (!run && !drive) return { ok: false, do: what ?? null, error: 'no such command' };
  if (drive && !line.url) return { ok: false, do: what, error: 'needs "url"' };
  const started = Date.now();
  try {
    const result = await within(COMMAND_MS, what,
      run ? run(context, line) : drive(browser, context, line));
    return { ok: true, do: what, ...result, ms: Date.now() - started };
  } catch (error) {
    if (error.message.startsWith(`timed out after ${COMMAND_MS} ms`)) fail(error);
    return { ok: false, do: what, error: error.message, ms: Date.now() - started };
  }
}

try {
  const headful = options.includes('--headful');
  const browser = await within(START_MS, `${name} to start`, ENGINES[name].launch({ headful }));
  say({ ok: true, ready: name, version: browser.version });
  for await (const text of createInterface({ input: process.stdin })) {
    if (text.trim()) say(await obey(browser, text));
  }
  process.exit(0);
} catch (error) {
  fail(error);
}
