// Debian's Chromium, driven over its own pipe (--remote-debugging-pipe): JSON messages ended by a zero byte on file
// descriptors 3 and 4. No driver program and no package stands between, so there is no version to match.

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { within } from './server.mjs';

export const CHROMIUM = process.env.FA_CHROMIUM || '/usr/bin/chromium';

export const chromiumMissing = () => (existsSync(CHROMIUM) ? false : `${CHROMIUM} is not installed (apt-get install chromium)`);

const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage', '--mute-audio',
  '--autoplay-policy=no-user-gesture-required', '--remote-debugging-pipe',
];

/** A browser with one page. `close()` must be called. */
export async function openBrowser({ width = 1000, height = 800 } = {}) {
  const profile = mkdtempSync(path.join(tmpdir(), 'fitnessally-chromium-'));
  const flags = [...FLAGS, `--user-data-dir=${profile}`, `--window-size=${width},${height}`, 'about:blank'];
  const child = spawn(CHROMIUM, flags, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
  const exited = new Promise((resolve) => child.once('exit', resolve).once('error', resolve));
  const killAtExit = () => child.kill('SIGKILL');
  process.once('exit', killAtExit);

  const talk = new Pipe(child.stdio[3], child.stdio[4], exited);
  async function close() {
    talk.send('Browser.close').catch(() => {});
    await within(10_000, exited, 'Chromium to end').catch(() => child.kill('SIGKILL'));
    process.removeListener('exit', killAtExit);
    rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
  try {
    const { targetInfos } = await within(30_000, talk.send('Target.getTargets'), 'Chromium to start');
    const { targetId } = targetInfos.find((target) => target.type === 'page');
    const { sessionId } = await talk.send('Target.attachToTarget', { targetId, flatten: true });
    const page = new Page(talk, sessionId);
    for (const domain of ['Page', 'Runtime', 'Log']) await page.send(`${domain}.enable`);
    return { page, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Requests with numbered replies, and events. */
class Pipe {
  constructor(output, input, exited) {
    this.output = output;
    this.waiting = new Map();
    this.listeners = new Set();
    this.last = 0;
    let rest = Buffer.alloc(0);
    input.on('data', (bytes) => {
      rest = Buffer.concat([rest, bytes]);
      for (let end = rest.indexOf(0); end >= 0; end = rest.indexOf(0)) {
        this.receive(JSON.parse(rest.subarray(0, end)));
        rest = rest.subarray(end + 1);
      }
    });
    output.on('error', () => {});
    exited.then(() => {
      for (const { reject } of this.waiting.values()) reject(new Error('Chromium has ended'));
      this.waiting.clear();
    });
  }

  send(method, params = {}, sessionId = undefined) {
    const id = ++this.last;
    this.output.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject, method }));
  }

  receive(message) {
    if (message.id === undefined) return this.listeners.forEach((listener) => listener(message));
    const request = this.waiting.get(message.id);
    this.waiting.delete(message.id);
    if (message.error) request?.reject(new Error(`${request.method}: ${message.error.message}`));
    else request?.resolve(message.result);
  }
}

class Page {
  constructor(pipe, sessionId) {
    this.pipe = pipe;
    this.sessionId = sessionId;
    this.errors = []; // everything a developer would see in red
    pipe.listeners.add(({ method, params }) => {
      if (method === 'Runtime.exceptionThrown') this.errors.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
      if (method === 'Log.entryAdded' && params.entry.level === 'error') this.errors.push(`${params.entry.text} ${params.entry.url ?? ''}`);
      if (method === 'Runtime.consoleAPICalled' && params.type === 'error') this.errors.push(params.args.map((arg) => arg.value).join(' '));
    });
  }

  send(method, params) {
    return within(20_000, this.pipe.send(method, params, this.sessionId), method);
  }

  async goto(url) {
    const loaded = new Promise((resolve) => {
      const listener = ({ method }) => {
        if (method !== 'Page.loadEventFired') return;
        this.pipe.listeners.delete(listener);
        resolve();
      };
      this.pipe.listeners.add(listener);
    });
    const { errorText } = await this.send('Page.navigate', { url });
    if (errorText) throw new Error(`${url}: ${errorText}`);
    await within(15_000, loaded, `${url} to load`);
  }

  async evaluate(expression) {
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Waits until the expression is true in the page; on failure says how the page stood. */
  async waitFor(expression, ms = 15_000) {
    const check = `new Promise((resolve) => { (function look() { ${expression} ? resolve(true) : setTimeout(look, 20); })(); })`;
    const met = this.pipe.send('Runtime.evaluate', { expression: check, awaitPromise: true }, this.sessionId);
    await within(ms, met, expression).catch(async (error) => {
      const now = await this.evaluate('JSON.stringify({...document.body.dataset}) + " " + document.body.innerText');
      throw new Error(`${error.message}; the page: ${now}; console: ${this.errors.join(' | ')}`);
    });
  }

  /** A real click, which counts as the user's. */
  async click(selector) {
    const where = `(() => { const e = document.querySelector(${JSON.stringify(selector)}); e.scrollIntoView({ block: 'nearest' });
      const r = e.getBoundingClientRect(); return { x: r.x + r.width / 2, y: r.y + r.height / 2 }; })()`;
    const { x, y } = await this.evaluate(where);
    for (const type of ['mousePressed', 'mouseReleased']) {
      await this.send('Input.dispatchMouseEvent', { type, x, y, button: 'left', clickCount: 1 });
    }
  }

  async type(text) {
    await this.send('Input.insertText', { text });
  }

  async press(key) {
    const code = { Enter: 13, Escape: 27 }[key];
    for (const type of ['keyDown', 'keyUp']) {
      const text = type === 'keyDown' && key === 'Enter' ? '\r' : undefined;
      await this.send('Input.dispatchKeyEvent', { type, key, code: key, windowsVirtualKeyCode: code, text });
    }
  }

  async screenshot(file) {
    const { data } = await this.send('Page.captureScreenshot', { format: 'png' });
    writeFileSync(file, Buffer.from(data, 'base64'));
  }
}
