// Chromium, driven over its debugging pipe (NUL-separated JSON on two file descriptors).
import { writeFileSync } from 'node:fs';
import { display, freshDirectory, start, until, within } from './process.mjs';

const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--no-default-browser-check', '--disable-background-networking', '--disable-component-update',
  '--disable-sync', '--disable-dev-shm-usage', '--password-store=basic', '--use-mock-keychain',
  '--remote-debugging-pipe', '--window-size=1200,900',
];

class Pipe {
  #next = 1;
  #open = new Map();
  #listeners = new Set();
  #rest = '';

  constructor(child) {
    this.child = child;
    child.stdio[4].setEncoding('utf8');
    child.stdio[4].on('data', (data) => {
      const parts = (this.#rest + data).split('\0');
      this.#rest = parts.pop();
      for (const part of parts) this.#take(JSON.parse(part));
    });
    child.stdio[3].on('error', () => {});
  }

  #take(message) {
    if (message.id === undefined) {
      for (const listener of this.#listeners) listener(message);
      return;
    }
    const { resolve, reject, method } = this.#open.get(message.id);
    this.#open.delete(message.id);
    if (message.error) reject(new Error(`${method}: ${message.error.message}`));
    else resolve(message.result);
  }

  listen(listener) { this.#listeners.add(listener); }

  send(method, params = {}, sessionId = undefined) {
    const id = this.#next++;
    const answer = new Promise((resolve, reject) => {
      this.#open.set(id, { resolve, reject, method });
    });
    this.child.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return within(20_000, method, Promise.race([answer, this.child.failed]));
  }
}

export class Chromium {
  static async launch({ headful = false } = {}) {
    const env = { TMPDIR: freshDirectory('tmp') };
    if (headful) env.DISPLAY = await display();
    const args = [...FLAGS, `--user-data-dir=${freshDirectory('chromium')}`,
      ...(headful ? [] : ['--headless']), 'about:blank'];
    const self = new Chromium();
    self.pipe = new Pipe(start('/usr/bin/chromium', args, { env, extraPipes: 2 }));
    self.pipe.listen((message) => self.#heard(message));
    self.version = (await self.pipe.send('Browser.getVersion')).product;
    return self;
  }

  /** A new tab for every command, so that nothing of the one before is left on the page. */
  async fresh({ javascript = true } = {}) {
    const before = this.tab;
    // Through the tab and not the page: a page that is debugged by itself is not prerendered.
    const { targetId } = await this.pipe.send('Target.createTarget',
      { url: 'about:blank', forTab: true });
    this.tab = targetId;
    this.tabSession = null;
    this.pages = [];
    this.heard = [];
    this.speculation = [];
    this.loaded = new Set();
    const { sessionId } = await this.pipe.send('Target.attachToTarget',
      { targetId, flatten: true });
    this.tabSession = sessionId;
    await this.pipe.send('Target.setAutoAttach', { autoAttach: true, flatten: true,
      waitForDebuggerOnStart: false, filter: [{ type: 'page' }] }, sessionId);
    if (!await until(10_000, async () => this.pages.length)) throw new Error('the tab has no page');
    for (const domain of ['Page', 'Log', 'Runtime', 'Audits', 'Preload']) {
      await this.#ask(`${domain}.enable`);
    }
    await this.#ask('Page.setLifecycleEventsEnabled', { enabled: true });
    // Only when asked for: a page under emulation is not prerendered.
    if (!javascript) await this.#ask('Emulation.setScriptExecutionDisabled', { value: true });
    if (before) await this.pipe.send('Target.closeTarget', { targetId: before });
  }

  /** The page shown: the first, until a prerendered one takes its place. */
  get session() { return this.pages[0]; }

  #ask(method, params) { return this.pipe.send(method, params, this.session); }

  #heard({ method, params, sessionId }) {
    if (sessionId === this.tabSession && method === 'Target.attachedToTarget') {
      this.pages.push(params.sessionId);
    }
    if (sessionId === this.tabSession && method === 'Target.detachedFromTarget') {
      this.pages = this.pages.filter((each) => each !== params.sessionId);
    }
    if (!this.session || sessionId !== this.session) return;
    if (method === 'Page.lifecycleEvent' && params.name === 'load') {
      this.loaded.add(params.loaderId);
    }
    if (method === 'Log.entryAdded') this.heard.push(params.entry.text);
    if (method === 'Runtime.exceptionThrown') this.heard.push(params.exceptionDetails.text);
    if (method === 'Audits.issueAdded' && params.issue.code === 'ContentSecurityPolicyIssue') {
      const issue = params.issue.details.contentSecurityPolicyIssueDetails;
      this.heard.push(`CSP ${issue.violatedDirective} ${issue.blockedURL ?? ''}`.trim());
    }
    if (/^Preload\.pre(fetch|render)StatusUpdated$/.test(method)) this.speculation.push(params);
  }

  async goto(url) {
    const { errorText, loaderId } = await this.#ask('Page.navigate', { url });
    if (errorText) throw new Error(`${url}: ${errorText}`);
    if (!await until(15_000, async () => this.loaded.has(loaderId))) {
      throw new Error(`${url}: not loaded within 15 s`);
    }
  }

  /** Calls `act` and waits for the document that replaces this one; false when none came. */
  async replaced(ms, act) {
    const { frameTree } = await this.#ask('Page.getFrameTree');
    const before = frameTree.frame.loaderId;
    await act();
    return Boolean(await until(ms, async () => {
      const { frameTree: now } = await this.#ask('Page.getFrameTree');
      return now.frame.loaderId !== before && this.loaded.has(now.frame.loaderId);
    }));
  }

  async evaluate(expression) {
    const { result, exceptionDetails } = await this.#ask('Runtime.evaluate',
      { expression, returnByValue: true, awaitPromise: true });
    if (exceptionDetails) throw new Error(`${exceptionDetails.text} in ${expression}`);
    return result.value;
  }

  async click(selector) {
    const box = await this.evaluate(`(() => {
      const found = document.querySelector(${JSON.stringify(selector)});
      found?.scrollIntoView({ block: 'center', behavior: 'instant' });
      const at = found?.getBoundingClientRect();
      return at && { x: at.x + at.width / 2, y: at.y + at.height / 2 };
    })()`);
    if (!box) throw new Error(`nothing to click: ${selector}`);
    const mouse = (type, more = {}) =>
      this.#ask('Input.dispatchMouseEvent', { type, ...box, ...more });
    await mouse('mouseMoved');
    await mouse('mousePressed', { button: 'left', buttons: 1, clickCount: 1 });
    await mouse('mouseReleased', { button: 'left', clickCount: 1 });
  }

  text(selector) {
    return this.evaluate(`document.querySelector(${JSON.stringify(selector)})?.innerText`);
  }
  url() { return this.evaluate('location.href'); }
  title() { return this.evaluate('document.title'); }
  status() {
    return this.evaluate("performance.getEntriesByType('navigation')[0]?.responseStatus ?? null");
  }
  async messages() { return this.heard; }

  /** How the `action` (Prefetch, Prerender) and all that it needed ended; null if it did not. */
  async speculated(ms, action) {
    const latest = () => new Map(this.speculation.map((each) => [each.key.action, each]));
    const over = (each) => ['Ready', 'Success', 'Failure', 'NotSupported'].includes(each.status);
    const ended = await until(ms, async () => {
      const now = latest();
      return now.has(action) && [...now.values()].every(over) && now.get(action);
    });
    if (!ended) return null;
    return { status: ended.status, reason: ended.prerenderStatus ?? ended.prefetchStatus ?? null };
  }

  /** Asks for the pages of this tab in a language. */
  async speak(language) {
    await this.#ask('Network.enable');
    await this.#ask('Network.setExtraHTTPHeaders', { headers: { 'Accept-Language': language } });
  }

  async screenshot(path, { width, height, dark }) {
    await this.#ask('Emulation.setDeviceMetricsOverride',
      { width, height, deviceScaleFactor: 1, mobile: false });
    await this.#ask('Emulation.setEmulatedMedia',
      { features: [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }] });
    const { data } = await this.#ask('Page.captureScreenshot', { format: 'png' });
    writeFileSync(path, Buffer.from(data, 'base64'));
  }
}
