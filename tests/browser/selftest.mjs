// Holds every command against the stand-in server: `node selftest.mjs [engine …]`.
// The pages' headers are those of the real server, so this also says what engines need.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { standIn } from './stand-in.mjs';

/** A browser.mjs of its own: `ask(line)` answers with its next line. */
async function open(engine) {
  const program = new URL('browser.mjs', import.meta.url).pathname;
  const child = spawn(process.execPath, [program, engine],
    { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${engine} ended`);
    return JSON.parse(value);
  };
  const started = Date.now();
  const ready = await next();
  if (!ready.ok) throw new Error(ready.error);
  console.log(`${engine}: ${ready.version}, up in ${Date.now() - started} ms`);
  return {
    async ask(line) {
      child.stdin.write(`${JSON.stringify(line)}\n`);
      const answer = await next();
      console.log(`  ${line.do} ${answer.ms} ms${process.env.VERBOSE
        ? ` ${JSON.stringify(answer)}` : ''}`);
      return answer;
    },
    close() {
      child.stdin.end();
      return new Promise((ended) => child.on('exit', ended));
    },
  };
}

async function holds(engine) {
  const browser = await open(engine);
  const { destination } = await browser.ask({ do: 'open-destination' });
  const server = await standIn(destination);
  const paths = () => server.log.splice(0)
    .filter((each) => !/favicon|apple-touch/.test(each.url))
    .map(({ method, url, purpose }) => `${method} ${url}${purpose ? ` [${purpose}]` : ''}`);
  const ask = async (what, path, more = {}) => {
    const answer = await browser.ask({ do: what, url: server.origin + path, ...more });
    assert.equal(answer.ok, true, JSON.stringify(answer));
    return answer;
  };

  const clicked = await ask('click', '/c/t/1');
  assert.equal(clicked.finalUrl, destination);
  assert.equal(clicked.status, engine === 'webkit' ? null : 200);
  assert.equal(clicked.title, 'Landed');
  assert.deepEqual(paths(), ['GET /c/t/1']);
  const log = await browser.ask({ do: 'destination-log', clear: true });
  assert.equal(log.requests.length, 1);
  assert.equal(log.requests[0].headers.referer, undefined);

  const image = await ask('image', '/o/t.gif');
  assert.deepEqual([image.event, image.naturalWidth], ['load', 1]);
  assert.deepEqual(paths(), ['GET /o/t.gif']);

  for (const what of ['press', 'press-no-js']) {
    const pressed = await ask(what, '/a/t/x/3');
    assert.equal(pressed.buttonText, 'Confirm');
    assert.equal(pressed.navigated, true, JSON.stringify(pressed));
    assert.equal(pressed.finalUrl, destination, JSON.stringify(pressed));
    assert.deepEqual(pressed.messages, []);
    assert.equal(server.log.find((each) => each.method === 'POST').headers.origin, server.origin);
    assert.deepEqual(paths(), ['GET /a/t/x/3', 'POST /a/t/x/3']);
  }
  const left = await ask('press', '/u/t/x/0');
  assert.equal(left.finalUrl, `${server.origin}/u/t/x/0`);
  assert.equal(left.title, 'Unsubscribed');
  assert.deepEqual(paths(), ['GET /u/t/x/0', 'POST /u/t/x/0']);

  if (engine === 'chromium') {
    const ahead = await ask('prerender-then-click', '/c/t/2');
    assert.equal(ahead.finalUrl, destination);
    assert.deepEqual(paths(), ['GET /c/t/2 [prefetch;prerender]', 'GET /c/t/2']);
    await ask('speculative-prefetch-then-click', '/c/t/4');
    assert.deepEqual(paths(), ['GET /c/t/4 [prefetch]', 'GET /c/t/4']);
  }
  if (engine !== 'webkit') {
    const fetched = await ask('prefetch-then-click', '/c/t/5');
    assert.equal(fetched.finalUrl, destination);
    assert.deepEqual(paths(), ['GET /c/t/5 [prefetch]', 'GET /c/t/5']);
  }

  // What an engine does with a redirect after the POST, by the page's form-action.
  const moved = await browser.ask({ do: 'open-destination', redirects: true });
  const policies = [
    ["'self'", destination],
    ["'self' DESTINATION", moved.destination],
    ["'self' http: https:", moved.destination],
  ];
  for (const [policy, goal] of policies) {
    const formAction = policy.replace('DESTINATION', new URL(goal).origin);
    const strict = await standIn(goal, { formAction });
    const pressed = await browser.ask(
      { do: 'press', url: `${strict.origin}/a/t/x/3`, wait_ms: 2000 });
    const chain = goal === destination ? '' : ', destination redirects to another origin';
    console.log(`  form-action ${policy}${chain}: ${pressed.navigated ? 'arrives' : 'blocked'}`);
  }

  for (const dark of engine === 'webkit' ? [false] : [false, true]) {
    const path = join(tmpdir(), `cupel-selftest-${process.pid}.png`);
    await ask('screenshot', '/a/t/x/3', { path, width: 480, height: 640, dark });
    assert.ok(existsSync(path));
    rmSync(path);
  }
  assert.equal((await browser.ask({ do: 'no-such-thing' })).ok, false);
  assert.equal(await browser.close(), 0);
}

for (const engine of process.argv.length > 2 ? process.argv.slice(2)
  : ['chromium', 'firefox', 'webkit']) {
  const started = Date.now();
  await holds(engine);
  console.log(`${engine}: all held in ${Date.now() - started} ms`);
}
