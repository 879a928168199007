// What a browser can be told to do. Each command takes the checked line and answers an object.
import { escape } from './servers.mjs';

const WAIT_MS = 15_000;
const LINK = '<p style="margin:40px"><a id="link" style="font-size:30px" href="%">Read more</a>';

const link = (url) => LINK.replace('%', escape(url));

/** Where the browser stands now. */
async function seen(browser) {
  return {
    finalUrl: await browser.url(),
    status: await browser.status(),
    title: await browser.title(),
    messages: await browser.messages(),
  };
}

/** Opens a mailbox page with the link and clicks it; answers whether a new page came. */
async function follow(browser, mailbox, { url, from, wait_ms = WAIT_MS }) {
  await browser.goto(mailbox.show(url, from, link(url)));
  return browser.replaced(wait_ms, () => browser.click('#link'));
}

async function click(browser, { mailbox }, line) {
  await browser.fresh();
  return { navigated: await follow(browser, mailbox, line), ...await seen(browser) };
}

/** Loads the link ahead of the click, waits until that load has ended, then clicks. */
export async function speculateThenClick(browser, { mailbox }, line, head, ended) {
  const waitMs = line.wait_ms ?? WAIT_MS;
  await browser.fresh();
  await browser.goto(mailbox.show(line.url, line.from, link(line.url), head));
  const speculation = await ended(waitMs);
  if (!speculation) throw new Error(`no speculative load ended within ${waitMs} ms`);
  const navigated = await browser.replaced(waitMs, () => browser.click('#link'));
  return { speculation, navigated, ...await seen(browser) };
}

function bySpeculationRules(action) {
  const name = action === 'prerender' ? 'Prerender' : 'Prefetch';
  return async (browser, context, line) => {
    if (!browser.speculated) throw new Error(`${browser.version} knows no speculation rules`);
    const rules = JSON.stringify({ [action]: [{ urls: [line.url], eagerness: 'immediate' }] });
    // Prerendering another site is never tried, so the mailbox stands on the link's own.
    const where = { from: action === 'prerender' ? 'same-site' : 'other-site', ...line };
    return speculateThenClick(browser, context, where,
      `<script type="speculationrules">${rules.replace(/</g, '\\u003c')}</script>`,
      (waitMs) => browser.speculated(waitMs, name));
  };
}

export function prefetchLink(url) {
  const listeners = ['load', 'error'].map((each) => `on${each}="window.ended='${each}'"`);
  return `<link rel="prefetch" href="${escape(url)}" ${listeners.join(' ')}>`;
}

async function prefetchThenClick(browser, context, line) {
  return speculateThenClick(browser, context, line, prefetchLink(line.url), async (waitMs) => {
    const status = await pageSays(browser, waitMs, 'window.ended');
    return status && { status, reason: null };
  });
}

/** Waits until the page's own script has set `expression`. */
function pageSays(browser, waitMs, expression) {
  return browser.evaluate(`new Promise((answer) => {
    const end = Date.now() + ${waitMs};
    (function ask() {
      const said = ${expression};
      if (said || Date.now() > end) answer(said ?? null); else setTimeout(ask, 20);
    })();
  })`);
}

async function image(browser, { mailbox }, line) {
  await browser.fresh();
  const handlers = ['load', 'error'].map((each) => `on${each}="window.ended='${each}'"`);
  await browser.goto(mailbox.show(line.url, line.from,
    `<p>Hello</p><img src="${escape(line.url)}" alt="" ${handlers.join(' ')}>`));
  const event = await pageSays(browser, line.wait_ms ?? WAIT_MS, 'window.ended');
  if (!event) throw new Error('the image neither loaded nor failed');
  const width = await browser.evaluate("document.querySelector('img').naturalWidth");
  return { event, naturalWidth: width };
}

/** Follows the link to the action page and presses its button with the mouse. */
async function pressWith(javascript, browser, { mailbox }, line) {
  const button = line.button ?? 'form button, form input[type=submit]';
  await browser.fresh({ javascript });
  if (!await follow(browser, mailbox, line)) throw new Error('the link led to no page');
  const shown = { pageUrl: await browser.url(), pageTitle: await browser.title() };
  if (javascript) shown.pageStatus = await browser.status();
  shown.buttonText = await browser.text(button);
  const waitMs = line.wait_ms ?? WAIT_MS;
  const navigated = await browser.replaced(waitMs, () => browser.click(button));
  const result = { ...shown, navigated, finalUrl: await browser.url() };
  if (javascript) result.status = await browser.status();
  return { ...result, title: await browser.title(), messages: await browser.messages() };
}

async function screenshot(browser, _, line) {
  const { url, path, width = 1200, height = 800, dark = false, language } = line;
  if (!path) throw new Error('screenshot needs "path"');
  await browser.fresh();
  if (language && !browser.speak) throw new Error(`${browser.version} is not asked in a language`);
  if (language) await browser.speak(language);
  await browser.goto(url);
  await browser.screenshot(path, { width, height, dark });
  const contentWidth = await browser.evaluate('document.documentElement.scrollWidth');
  return { path, width, height, dark, contentWidth, status: await browser.status() };
}

export const COMMANDS = {
  click,
  'prerender-then-click': bySpeculationRules('prerender'),
  'speculative-prefetch-then-click': bySpeculationRules('prefetch'),
  'prefetch-then-click': prefetchThenClick,
  image,
  press: (...all) => pressWith(true, ...all),
  'press-no-js': (...all) => pressWith(false, ...all),
  screenshot,
};
