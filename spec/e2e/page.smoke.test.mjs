// The coach's page in Debian's Chromium: it asks, words arrive, audio plays, the picture shows, Stop stops.
// FA_SCREENSHOT=FILE.png keeps a picture of it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { chromiumMissing, openBrowser } from './support/browser.mjs';
import { startServer } from './support/server.mjs';

const skip = chromiumMissing();
const state = (name) => `document.body.dataset.state === '${name}'`;

let server, browser;
before(async () => {
  if (skip) return;
  server = await startServer();
  browser = await openBrowser();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test('the page asks, words arrive, audio plays, the picture shows, Stop stops', { skip }, async () => {
  const { page } = browser;
  await page.goto(`${server.url}/`);
  await page.click('#question');
  await page.type('How do I do a plank?');
  await page.press('Enter');

  await page.waitFor("/plank/i.test(document.querySelector('.answer')?.textContent)");
  assert.equal(await page.evaluate("document.querySelector('.question').textContent"), 'How do I do a plank?');
  await page.waitFor("(() => { const i = document.querySelector('figure img'); return i.complete && i.naturalWidth > 0 && i.offsetWidth > 0; })()");
  await page.waitFor(state('speaking'));
  await page.waitFor("document.querySelector('.spoken') && document.getElementById('caption').textContent.length > 0");
  await page.waitFor('document.body.dataset.chunksPlayed >= 1', 30_000);
  if (process.env.FA_SCREENSHOT) await page.screenshot(process.env.FA_SCREENSHOT);

  await page.click('#question');
  await page.type('And how do I do a squat?');
  await page.press('Enter');
  await page.waitFor(`document.querySelectorAll('article').length === 2 && (${state('thinking')} || ${state('speaking')})`);
  await page.click('#stop');
  await page.waitFor(state('idle'));
  assert.equal(await page.evaluate("document.getElementById('stop').disabled"), true);

  await page.click('#voice'); // without a voice the answer is words only, and done at once
  await page.click('#question');
  await page.type('What is a lunge?');
  await page.press('Enter');
  await page.waitFor(state('done'));
  assert.match(await page.evaluate("document.querySelector('article:last-child .answer').textContent"), /lunge/i);
  assert.equal(await page.evaluate('document.body.dataset.chunksPlayed'), '0');
  assert.deepEqual(page.errors, [], 'nothing in red in the console');
});
