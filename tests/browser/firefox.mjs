// Firefox, driven over Marionette (length-prefixed JSON on a loopback socket).
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { display, freshDirectory, start, until, within } from './process.mjs';

// Port 0 for Marionette, and no traffic of Firefox's own.
const PREFERENCES = {
  'marionette.port': 0,
  'app.normandy.enabled': false,
  'app.update.disabledForTesting': true,
  'browser.safebrowsing.downloads.enabled': false,
  'browser.safebrowsing.malware.enabled': false,
  'browser.safebrowsing.phishing.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'browser.startup.homepage_override.mstone': 'ignore',
  'datareporting.policy.dataSubmissionEnabled': false,
  'dom.security.https_first': false,
  'extensions.getAddons.cache.enabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'services.settings.server': 'data:,none',
  'toolkit.telemetry.enabled': false,
};
const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';

class Marionette {
  #next = 1;
  #open = new Map();
  #rest = Buffer.alloc(0);

  static connect(port, failed) {
    const self = new Marionette();
    self.socket = connect(port, '127.0.0.1');
    self.failed = failed;
    const greeted = new Promise((resolve, reject) => {
      self.greeted = resolve;
      self.socket.on('error', reject);
    });
    self.socket.on('data', (data) => self.#take(data));
    return within(20_000, 'Marionette greeting', Promise.race([greeted.then(() => self), failed]));
  }

  #take(data) {
    this.#rest = Buffer.concat([this.#rest, data]);
    for (;;) {
      const colon = this.#rest.indexOf(':');
      if (colon < 0) return;
      const end = colon + 1 + Number(this.#rest.subarray(0, colon));
      if (this.#rest.length < end) return;
      const message = JSON.parse(this.#rest.subarray(colon + 1, end));
      this.#rest = this.#rest.subarray(end);
      if (!Array.isArray(message)) { this.greeted(); continue; }
      const [, id, error, result] = message;
      const { resolve, reject, command } = this.#open.get(id);
      this.#open.delete(id);
      if (error) reject(new Error(`${command}: ${error.error}: ${error.message}`));
      else resolve(result);
    }
  }

  send(command, parameters = {}) {
    const id = this.#next++;
    const answer = new Promise((resolve, reject) => {
      this.#open.set(id, { resolve, reject, command });
    });
    const text = JSON.stringify([0, id, command, parameters]);
    this.socket.write(`${Buffer.byteLength(text)}:${text}`);
    return within(30_000, command, Promise.race([answer, this.failed]));
  }
}

export class Firefox {
  static async launch({ headful = false } = {}) {
    const profile = freshDirectory('firefox');
    const lines = Object.entries(PREFERENCES)
      .map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});`);
    writeFileSync(join(profile, 'user.js'), lines.join('\n'));
    const env = { HOME: freshDirectory('home'), MOZ_CRASHREPORTER_DISABLE: '1' };
    if (headful) env.DISPLAY = await display();
    const args = ['--marionette', '--remote-allow-system-access', '--no-remote',
      '--profile', profile, ...(headful ? [] : ['--headless']), 'about:blank'];
    const child = start('/usr/bin/firefox-esr', args, { env });
    const portFile = join(profile, 'MarionetteActivePort');
    const port = await Promise.race([child.failed, until(60_000, async () =>
      existsSync(portFile) && Number(readFileSync(portFile, 'utf8')))]);
    if (!port) throw new Error('Firefox opened no Marionette port within 60 s');
    const self = new Firefox();
    self.wire = await Marionette.connect(port, child.failed);
    const { capabilities } = await self.wire.send('WebDriver:NewSession',
      { pageLoadStrategy: 'normal', timeouts: { pageLoad: 15_000, script: 15_000 } });
    self.version = `Firefox/${capabilities.browserVersion}`;
    return self;
  }

  /** A new tab for every command, so that nothing of the one before is left on the page. */
  async fresh({ javascript = true } = {}) {
    await this.#chrome(`Services.prefs.setBoolPref('javascript.enabled', ${javascript});
      Services.console.reset();`);
    const { handle } = await this.wire.send('WebDriver:NewWindow', { type: 'tab', focus: true });
    await this.wire.send('WebDriver:CloseWindow');
    await this.wire.send('WebDriver:SwitchToWindow', { handle, focus: true });
  }

  async #chrome(script) {
    await this.wire.send('Marionette:SetContext', { value: 'chrome' });
    try {
      return (await this.wire.send('WebDriver:ExecuteScript', { script, args: [] })).value;
    } finally {
      await this.wire.send('Marionette:SetContext', { value: 'content' });
    }
  }

  goto(url) { return this.wire.send('WebDriver:Navigate', { url }); }

  async #find(selector) {
    const found = await this.wire.send('WebDriver:FindElement',
      { using: 'css selector', value: selector });
    return found.value[ELEMENT];
  }

  /** Calls `act` and waits for the document that replaces this one; false when none came. */
  async replaced(ms, act) {
    const id = await this.#find('html');
    await act();
    const gone = await until(ms, () => this.wire.send('WebDriver:GetElementTagName', { id })
      .then(() => false, () => true));
    if (!gone) return false;
    return Boolean(await until(ms, () => this.#chrome(
      "return !gBrowser.selectedBrowser.webProgress.isLoadingDocument")));
  }

  async evaluate(expression) {
    const answer = await this.wire.send('WebDriver:ExecuteScript',
      { script: `return (${expression});`, args: [], sandbox: null });
    return answer.value;
  }

  async click(selector) {
    const origin = { [ELEMENT]: await this.#find(selector) };
    await this.wire.send('WebDriver:PerformActions', { actions: [{
      type: 'pointer', id: 'mouse', parameters: { pointerType: 'mouse' }, actions: [
        { type: 'pointerMove', origin, x: 0, y: 0, duration: 0 },
        { type: 'pointerDown', button: 0 },
        { type: 'pointerUp', button: 0 }],
    }] });
  }

  async text(selector) {
    const id = await this.#find(selector);
    return (await this.wire.send('WebDriver:GetElementText', { id })).value;
  }
  async url() { return (await this.wire.send('WebDriver:GetCurrentURL')).value; }
  async title() { return (await this.wire.send('WebDriver:GetTitle')).value; }
  status() {
    return this.evaluate("performance.getEntriesByType('navigation')[0]?.responseStatus ?? null");
  }

  messages() {
    return this.#chrome(`return Services.console.getMessageArray()
      .filter((each) => each instanceof Ci.nsIScriptError && each.innerWindowID)
      .map((each) => each.errorMessage);`);
  }

  async screenshot(path, { width, height, dark }) {
    await this.#chrome(`Services.prefs.setIntPref(
      'layout.css.prefers-color-scheme.content-override', ${dark ? 0 : 1});`);
    const frame = await this.evaluate(
      '({ x: outerWidth - innerWidth, y: outerHeight - innerHeight })');
    await this.wire.send('WebDriver:SetWindowRect',
      { width: width + frame.x, height: height + frame.y });
    const shot = await this.wire.send('WebDriver:TakeScreenshot', { full: false, hash: false });
    writeFileSync(path, Buffer.from(shot.value, 'base64'));
  }
}
