// `reload_specs`: newer scripts serve only when the application's own specs succeed with them; meanwhile the old ones do, and nobody waits.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';

import { call } from './support/client.mjs';
import { askControl, ledgerAtZero, startServer, within } from './support/server.mjs';
import { command, gone, makeApp } from './support/succession.mjs';

const says = (word) => `app:get('/hello', function(req) req:reply { text = '${word}' } end)\n`;

/** The application with a spec that knows a word; quick: how it ends. */
function withSpecs(first = 'good morning') {
  const app = makeApp(says(first));
  mkdirSync(path.join(app.folder, 'app/spec'));
  const spec = (text) => writeFileSync(path.join(app.folder, 'app/spec/hello_spec.lua'), text);
  spec(`local testing = require "fitnessally.testing"
describe("hello", function()
  it("is a greeting", function()
    local app = testing.app()
    assert.is_truthy(app:get("/hello").body:find("^good"))
  end)
end)
`);
  return { ...app, spec };
}

describe('an edit', () => {
  const app = withSpecs();
  let server;
  before(async () => (server = await startServer('-c', app.configure(2), '--set', 'reload_specs=spec', '--set', 'reload_specs_limit=2min')));
  after(() => server?.stop());
  afterEach(() => ledgerAtZero(server));
  const word = async () => (await call(server, 'GET', '/hello')).text;

  test('with which the specs succeed serves, and it is told how long they took', async () => {
    app.write(says('good evening'));
    const { status, out } = await command('reload', server.pid);
    assert.match(out, /^generation 2 serves: loaded for 2 workers in [\d.]+ ms, the specs took [\d.]+ s, changed over in /);
    assert.deepEqual([status, await word()], [0, 'good evening']);
  });

  test('that loads, but fails its spec, is refused with what the spec says, and the old scripts serve on', async () => {
    app.write(says('go away'));
    const { status, err } = await command('reload', server.pid);
    assert.equal(status, 1);
    assert.match(err, /spec\/hello_spec\.lua:5: the spec "hello is a greeting" fails: Expected to be truthy, but value was/);
    assert.match(err, />\s+5 \| {5}assert\.is_truthy/);
    assert.match(err, /Nothing has changed: generation 2 serves on\./);
    const { ok, error } = JSON.parse((await command('reload', server.pid, '--json')).out);
    assert.deepEqual([ok, error.code, error.line], [false, 'failing_specs', 5]);
    assert.match(error.file, /spec\/hello_spec\.lua$/);
    assert.match(error.traceback, /^what the specs say:\nnot ok 1 - hello is a greeting\n/);
    assert.equal(await word(), 'good evening');
  });

  test('whose specs are broken, or crash, is refused, too', async () => {
    app.write(says('good night'));
    app.spec('describe("x", function() oops oops end)\n');
    assert.match((await command('reload', server.pid)).err, /spec\/hello_spec\.lua:1: the spec ".*" fails: '=' expected near 'oops'/);
    app.spec('require("ffi").cdef "void _exit(int);" require("ffi").C._exit(7)\n');
    assert.match((await command('reload', server.pid)).err, /the process of the specs ended with status 7/);
    app.spec('require("ffi").cdef "int raise(int);" require("ffi").C.raise(9)\n');
    assert.match((await command('reload', server.pid)).err, /the process of the specs was ended by signal 9/);
    assert.equal(await word(), 'good evening');
    app.spec('describe("nothing", function() it("is wrong", function() end) end)\n');
    assert.equal((await command('reload', server.pid)).status, 0);
    assert.equal(await word(), 'good night');
  });

  test('that does not even load is refused before any spec runs', async () => {
    app.write('oops oops\n');
    assert.match((await command('reload', server.pid)).err, /^app\.lua:1: /);
    app.write(says('good night'));
  });
});

test('specs that never end are killed at the limit, with what they have started; requests are answered meanwhile', async () => {
  const app = withSpecs();
  const server = await startServer('-c', app.configure(1), '--set', 'reload_specs=spec', '--set', 'reload_specs_limit=3s');
  app.spec(`os.execute("sleep 3600 & echo $! > ${app.folder}/pid") while true do end\n`);
  let asked = 0;
  const reload = command('reload', server.pid);
  let over = false;
  reload.finally(() => (over = true));
  for (; !over; ++asked) {
    assert.equal((await call(server, 'GET', '/hello')).status, 200);
    assert.match(await askControl(server.pid, 'memory report'), /^\{/); // others are answered meanwhile
  }
  assert.match((await reload).err, /the specs took longer than 3\.0 s \(reload_specs_limit\)/);
  assert.ok(asked > 0, `${asked} requests`);
  const pid = existsSync(`${app.folder}/pid`) ? Number(readFileSync(`${app.folder}/pid`, 'utf8')) : 0;
  if (pid > 0) await gone(pid); // on a slow machine it has not come to that
  await server.stop();
});

test('a server that stops does not wait for specs: whoever has asked is told, and they are killed', async () => {
  const app = withSpecs();
  const server = await startServer('-c', app.configure(1), '--set', 'reload_specs=spec', '--set', 'reload_specs_limit=1h');
  const started = path.join(app.folder, 'started');
  app.spec(`local f = io.open("${started}", "w") f:write(io.open("/proc/self/stat"):read("*n")) f:close() while true do end\n`);
  const reload = command('reload', server.pid);
  process.kill(server.pid, 'SIGHUP'); // and one that nobody waits for
  let late = false;
  const begun = (async () => {
    while (!late && (!existsSync(started) || readFileSync(started, 'utf8') === '')) await new Promise((resolve) => setTimeout(resolve, 20));
  })();
  await within(30_000, begun, 'the specs to begin').finally(() => (late = true));
  await server.stop();
  await gone(Number(readFileSync(started, 'utf8')));
  assert.equal((await reload).status, 1);
});
