// WebKitGTK's MiniBrowser on a virtual display, driven over W3C WebDriver (plain HTTP).
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { display, freshDirectory, start, until, within } from './process.mjs';

const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';

const WATCH_VIOLATIONS = `(window.violations = [], document.addEventListener(
  'securitypolicyviolation',
  (each) => window.violations.push('CSP ' + each.violatedDirective + ' ' + each.blockedURI)))`;

/** The newest MiniBrowser: /usr/lib/{architecture}/webkit2gtk-4.{n}/MiniBrowser. */
function miniBrowser() {
  const inside = (path) => readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory()).map((entry) => `${path}/${entry.name}`);
  const found = inside('/usr/lib').filter((path) => /-linux-gnu/.test(path)).flatMap(inside)
    .filter((path) => /webkit2gtk-4\.\d$/.test(path) && existsSync(`${path}/MiniBrowser`)).sort();
  if (!found.length) throw new Error('no MiniBrowser: install the package webkit2gtk-driver');
  return `${found.at(-1)}/MiniBrowser`;
}

/** A port nobody uses: the driver cannot be asked to choose one itself. */
function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer().on('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

export class WebKit {
  static async launch({ features = [] } = {}) {
    const self = new WebKit();
    self.arguments = features.length ? [`--features=${features.join(',')}`] : [];
    const env = {
      DISPLAY: await display(), GDK_BACKEND: 'x11', GIO_USE_VFS: 'local',
      HOME: freshDirectory('home'), XDG_RUNTIME_DIR: freshDirectory('run'),
      NO_AT_BRIDGE: '1',
    };
    const port = await freePort();
    self.child = start('WebKitWebDriver', [`--port=${port}`, '--host=127.0.0.1'], { env });
    self.base = `http://127.0.0.1:${port}`;
    const ready = until(20_000, () => fetch(`${self.base}/status`).then((r) => r.ok, () => false));
    if (!await Promise.race([ready, self.child.failed])) throw new Error('no WebKitWebDriver');
    await self.fresh();
    return self;
  }

  async #ask(method, path, body = undefined) {
    const answer = await within(30_000, `${method} ${path}`, Promise.race([this.child.failed,
      fetch(this.base + path, {
        method,
        headers: { 'content-type': 'application/json' },
        body: method === 'POST' ? JSON.stringify(body ?? {}) : undefined,
      }).then((response) => response.json())]));
    if (answer.value?.error) {
      throw new Error(`${method} ${path}: ${answer.value.error}: ${answer.value.message}`);
    }
    return answer.value;
  }

  #do(method, path, body) { return this.#ask(method, `${this.path}${path}`, body); }

  /** A new browser for every command: scripts can be switched off at its start only. */
  async fresh({ javascript = true } = {}) {
    if (this.path && this.unused && javascript === this.javascript) return;
    if (this.path) await this.#ask('DELETE', this.path);
    const args = ['--automation', ...this.arguments,
      ...(javascript ? [] : ['--enable-javascript=false'])];
    const made = await this.#ask('POST', '/session', { capabilities: { alwaysMatch: {
      'webkitgtk:browserOptions': { binary: miniBrowser(), args },
      timeouts: { pageLoad: 15_000, script: 15_000 },
    } } });
    this.path = `/session/${made.sessionId}`;
    this.version = `${made.capabilities.browserName} ${made.capabilities.browserVersion}`;
    this.javascript = javascript;
    this.unused = true;
  }

  async goto(url) {
    this.unused = false;
    await this.#do('POST', '/url', { url });
  }

  async #find(selector) {
    const found = await this.#do('POST', '/element', { using: 'css selector', value: selector });
    return found[ELEMENT];
  }

  /** Calls `act` and waits for the document that replaces this one; false when none came. */
  async replaced(ms, act) {
    const id = await this.#find('html');
    if (this.javascript) await this.evaluate(WATCH_VIOLATIONS);
    await act();
    // A question that meets the exchange of the page's process is never answered: ask anew.
    const ask = (question) => within(1000, 'an answer', question);
    const gone = await until(ms, () => ask(this.#do('GET', `/element/${id}/name`))
      .then(() => false, (error) => /stale|no such|detached/.test(error.message)));
    if (!gone) return false;
    return Boolean(await until(ms, () => ask(this.evaluate("document.readyState === 'complete'"))
      .catch(() => false)));
  }

  evaluate(expression) {
    return this.#do('POST', '/execute/sync', { script: `return (${expression});`, args: [] });
  }

  async click(selector) {
    const origin = { [ELEMENT]: await this.#find(selector) };
    await this.#do('POST', '/actions', { actions: [{
      type: 'pointer', id: 'mouse', parameters: { pointerType: 'mouse' }, actions: [
        { type: 'pointerMove', origin, x: 0, y: 0, duration: 0 },
        { type: 'pointerDown', button: 0 },
        { type: 'pointerUp', button: 0 }],
    }] });
  }

  async text(selector) { return this.#do('GET', `/element/${await this.#find(selector)}/text`); }
  url() { return this.#do('GET', '/url'); }
  title() { return this.#do('GET', '/title'); }
  status() {
    return this.evaluate("performance.getEntriesByType('navigation')[0]?.responseStatus ?? null");
  }

  /** Violations of the page's policy since the last click: the console is not to be had. */
  async messages() {
    return this.javascript ? this.evaluate('window.violations ?? []') : [];
  }

  async screenshot(path, { width, height, dark }) {
    if (dark) throw new Error('webkit: dark pages cannot be asked for');
    const frame = await this.evaluate(
      '({ x: outerWidth - innerWidth, y: outerHeight - innerHeight })');
    await this.#do('POST', '/window/rect', { width: width + frame.x, height: height + frame.y });
    writeFileSync(path, Buffer.from(await this.#do('GET', '/screenshot'), 'base64'));
  }
}
