// In dev mode a browser is told what there is to know: which routes there are when none takes the request, and how the last reload went.
// In production it is not.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';

import { chromiumMissing, openBrowser } from './support/browser.mjs';
import { call, post } from './support/client.mjs';
import { ledgerAtZero, startServer, within } from './support/server.mjs';
import { command, makeApp } from './support/succession.mjs';

const ROUTES = `
app:get("/records", function(req) req:reply { text = "all" } end)
app:get("/records/:id", function(req) req:reply { text = req.params.id } end)
app:post("/records/:id/notes", function(req) req:reply { text = "noted" } end)
app:host("api.example", function(api)
  api:get("/status", function(req) req:reply { text = "well" } end)
end)
app:static("/media", { root = "." })
app:get("/slow", function(req) fitnessally.sleep(3600000) end)
`;
const HTML = { Accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };

describe('in dev mode', () => {
  const app = makeApp(ROUTES);
  let server;
  before(async () => (server = await startServer('-c', app.configure(2), '--set', 'mode=dev', '--set', 'drain=200ms')));
  after(() => server?.stop());
  afterEach(() => ledgerAtZero(server));

  test('a path that nobody takes is answered with what is near it, in the one shape', async () => {
    const told = async (where, method = 'GET') => {
      const { status, json } = await call(server, method, where);
      assert.deepEqual(Object.keys(json), ['error']);
      assert.deepEqual(Object.keys(json.error), ['code', 'message', 'requestId']);
      return [status, json.error.code, json.error.message];
    };
    assert.deepEqual(await told('/recrods/7'), [404, 'not_found', 'There is nothing at this path. Near it: GET /records/:id (app.lua:3).']);
    assert.deepEqual(await told('/Records/'), [404, 'not_found',
      'There is nothing at this path. Near it: GET /records (app.lua:2), GET /records/:id (app.lua:3).']);
    assert.match((await told('/status'))[2], /Near it: GET api\.example\/status \(app\.lua:6\)\.$/);
    assert.match((await told('/nowhere/at/all'))[2], /^There is nothing at this path\. There are: GET \/records \(app\.lua:2\), .*, GET \/slow \(app\.lua:9\)\.$/);
    assert.deepEqual(await told('/records/7/notes'), [405, 'method_not_allowed',
      'This path does not answer to this method. Near it: POST /records/:id/notes (app.lua:4).']);
    assert.equal((await call(server, 'GET', '/records/7/notes')).headers.allow, 'POST, OPTIONS');
    assert.equal((await call(server, 'GET', `/${'x'.repeat(2000)}`)).json.error.message, 'There is nothing at this path.');
  });

  test('a browser gets a page of it, in which nothing of the path is markup', async () => {
    const near = await call(server, 'GET', '/records/1/2', { headers: HTML });
    assert.deepEqual([near.status, near.headers['content-type'], near.headers['cache-control']], [404, 'text/html; charset=utf-8', 'no-store']);
    assert.match(near.text, /<h1>404: there is nothing at \/records\/1\/2<\/h1>/);
    assert.match(near.text, /<table class="near">\n<tr><td>GET<\/td><td>\/records\/:id<\/td><td>app\.lua:3<\/td><\/tr>/);
    assert.match(near.text, /<h2>All 6 routes<\/h2>/);
    const odd = await call(server, 'GET', '/%3Cscript%3Ealert(1)%3C/script%3E%22', { headers: HTML });
    assert.doesNotMatch(odd.text, /<script/);
    assert.match(odd.text, /there is nothing at \/&lt;script&gt;alert\(1\)&lt;\/script&gt;&quot;/);
    const wrong = await call(server, 'DELETE', '/records', { headers: HTML });
    assert.deepEqual([wrong.status, wrong.headers.allow], [405, 'GET, HEAD, OPTIONS']);
    assert.match(wrong.text, /<h1>405: \/records does not answer to DELETE, but to GET, HEAD, OPTIONS<\/h1>/);
    assert.equal((await post(server, '/nowhere', { a: 1 }, HTML)).status, 404);
  });

  test('a broken edit is shown with file, line, excerpt and traceback while the old scripts serve on', async (t) => {
    const html = async () => (await call(server, 'GET', '/api/dev/reload', { headers: HTML })).text;
    assert.match(await html(), /<h1 style="color:inherit">Generation 1 serves: nothing was reloaded yet<\/h1>/);

    writeFileSync(path.join(app.folder, 'app/shop.lua'), 'local shop = {}\n\nlocal function price(of)\n  error("no <b>price</b> of " .. of)\nend\nprice("tea")\nreturn shop\n');
    app.write(`${ROUTES}\nrequire "shop"\n`);
    await server.logged(/generation 1 serves on: shop\.lua:4: no <b>price<\/b> of tea/);
    const broken = await html();
    assert.match(broken, /<h1>The reload failed: shop\.lua:4: no &lt;b&gt;price&lt;\/b&gt; of tea<\/h1>/);
    assert.match(broken, /<mark> {4}4 \|   error\(&quot;no &lt;b&gt;price/);
    assert.match(broken, /<h2>How it came there<\/h2>\n<pre class="traceback">stack traceback:\n[^<]*app\.lua:11: in/);
    assert.match(broken, /<tr><td>1<\/td><td>serves<\/td>/);
    assert.equal((await call(server, 'GET', '/records/7')).text, '7');
    const { json, headers } = await call(server, 'GET', '/api/dev/reload');
    assert.match(headers['content-type'], /^application\/json/);
    assert.deepEqual([json.serving, json.failed.file, json.failed.line], [1, 'shop.lua', 4]);
    await look(t, 'broken', /The reload failed: shop\.lua:4/);

    const slow = call(server, 'GET', '/slow').catch(() => 'cut');
    const waits = async () => JSON.parse((await command('reload', server.pid, '--status', '--json')).out).generations.at(-1).requests === 1;
    await within(20_000, (async () => { while (!(await waits())); })(), 'the slow request to wait');
    app.write(ROUTES);
    await server.logged(/reload \(files have changed\): generation 2 serves/);
    const drains = await html();
    assert.match(drains, /<h1 style="color:inherit">Generation 2 serves: loaded at \d\d:\d\d:\d\d UTC in [\d.]+ ms, changed over in [\d.]+ ms<\/h1>/);
    assert.match(drains, /<h2>What generation 1 still has to finish<\/h2>\n<ul class="left">\n<li>task of request GET \/slow, waits at app\.lua:9/);
    await look(t, 'drains', /Generation 2 serves/);
    await server.stop();
    assert.equal(await slow.then((answer) => answer.status ?? answer), 'cut');
    server = await startServer('-c', app.configure(1), '--set', 'mode=dev');
  });

  /** What Chromium makes of the page, without a word in its console; FA_SHOTS names a folder for pictures. */
  async function look(t, name, heading) {
    const missing = chromiumMissing();
    if (missing) return t.diagnostic(missing);
    const { page, close } = await openBrowser();
    try {
      await page.goto(`${server.url}/api/dev/reload`);
      assert.match(await page.evaluate('document.querySelector("h1").innerText'), heading);
      assert.equal(await page.evaluate('document.querySelectorAll("h1 b, pre b").length'), 0);
      if (process.env.FA_SHOTS) await page.screenshot(path.join(process.env.FA_SHOTS, `reload-${name}.png`));
      assert.deepEqual(page.errors.filter((error) => !/favicon/.test(error)), []);
    } finally {
      await close();
    }
  }
});

test('an application that has the path itself keeps it', async () => {
  const app = makeApp('app:get("/api/dev/reload", function(req) req:reply { text = "mine" } end)\n');
  const server = await startServer('-c', app.configure(1), '--set', 'mode=dev');
  assert.equal((await call(server, 'GET', '/api/dev/reload', { headers: HTML })).text, 'mine');
  await server.stop();
});

test('in production nobody is told', async () => {
  const app = makeApp(ROUTES);
  const server = await startServer('-c', app.configure(1));
  for (const headers of [{}, HTML]) {
    const answers = [await call(server, 'GET', '/api/dev/reload', { headers }), await call(server, 'GET', '/recrods/7', { headers })];
    for (const { status, json } of answers) assert.deepEqual([status, json.error.message], [404, 'There is nothing at this path.']);
    assert.equal((await call(server, 'DELETE', '/records', { headers })).json.error.message, 'This path does not answer to this method.');
  }
  await server.stop();
});
