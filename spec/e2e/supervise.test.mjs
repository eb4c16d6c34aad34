// serve --supervise: a crashed server is serving again within a second, and whoever connects meanwhile is served.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { call } from './support/client.mjs';
import { REPO, SLOW, startServer, within } from './support/server.mjs';
import { RATE, missing, steady } from './support/steady.mjs';

const BIN = path.resolve(process.env.FA_BIN || path.join(REPO, 'build/fitnessally'));

// A server of a sanitizer build is to die of a signal like any other.
for (const name of ['ASAN_OPTIONS', 'TSAN_OPTIONS']) process.env[name] = `${process.env[name] ?? ''}:handle_segv=0:handle_abort=0`;

let folder, conf;
before(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'fitnessally-supervise-'));
  mkdirSync(path.join(folder, 'app'));
  writeFileSync(path.join(folder, 'app/app.lua'), "app:get('/hello', function(req) req:reply { text = 'hello' } end)\n");
  conf = path.join(folder, 'conf.lua');
  writeFileSync(conf, `app = ${JSON.stringify(path.join(folder, 'app'))}\nplugins_enabled = {}\nworkers = 2\n`);
});
after(() => rmSync(folder, { recursive: true, force: true }));

const childrenOf = (pid) => readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);

/** The only child, once it is not `but`. */
async function childOf(server, but) {
  for (const end = Date.now() + 20_000 * SLOW; Date.now() < end; await pause(5)) {
    const [child] = childrenOf(server.pid);
    if (child && child !== but) return child;
  }
  throw new Error(`no child\n${server.log()}`);
}

async function hello(server) {
  const begin = performance.now();
  assert.equal((await call(server, 'GET', '/hello')).text, 'hello');
  return performance.now() - begin;
}

async function supervised(t) {
  const server = await startServer('-c', conf, '--supervise');
  t.after(() => server.stop());
  return server;
}

test('killed or crashed, it serves again within a second; orders are passed on; it ends in good order', async (t) => {
  const began = performance.now();
  const server = await supervised(t);
  const start = performance.now() - began; // on a machine that is as busy as it is now
  let child;
  for (const signal of ['SIGKILL', 'SIGSEGV', 'SIGABRT']) {
    child = await childOf(server, child);
    await hello(server);
    process.kill(child, signal);
    await pause(5);
    const ms = await hello(server); // it connects while nobody serves
    t.diagnostic(`${signal}: answered after ${ms.toFixed(0)} ms`);
    assert.ok(ms < 1000 * SLOW + 5 * start, `${ms} ms, where a start took ${start}`);
  }
  await server.logged(/was ended by signal 9 \(Killed\)/);
  await server.logged(/was ended by signal 11/);
  process.kill(server.pid, 'SIGUSR2');
  for (const end = Date.now() + 20_000 * SLOW; !server.log().includes('memory report written'); await pause(10)) assert.ok(Date.now() < end, server.log());
  await server.stop(); // and its status is 0
});

test('a crash under load costs what was being answered, and refuses nobody', { skip: missing }, async (t) => {
  const server = await supervised(t);
  const load = steady(server.port, 3, { rate: RATE });
  await pause(1000);
  process.kill(await childOf(server), 'SIGKILL');
  const figures = await load;
  t.diagnostic(JSON.stringify(figures));
  assert.equal(figures.refused, 0);
  assert.equal(figures.late, 0);
  assert.ok(figures.failed < RATE / 5, 'only what had been accepted');
  await server.stop();
});

test('an upgrade is the supervisor\'s to make', { skip: missing }, async (t) => {
  const server = await supervised(t);
  const first = await childOf(server);
  const load = steady(server.port, 3);
  await pause(800);
  const { status, out } = await new Promise((resolve) => {
    execFile(BIN, ['upgrade', '--pid', String(first)], { timeout: 60_000 * SLOW }, (error, stdout, stderr) => resolve({ status: error?.code ?? 0, out: stdout + stderr }));
  });
  assert.equal(status, 0, out + server.log());
  const second = Number(/process (\d+) serves now/.exec(out)[1]);
  const figures = await load;
  t.diagnostic(JSON.stringify(figures));
  assert.equal(figures.failed, 0, JSON.stringify(figures));
  assert.deepEqual(childrenOf(server.pid), [second]);
  process.kill(second, 'SIGKILL'); // the new one is looked after in the same way
  await pause(5);
  await hello(server);
  await server.stop();
});

test('crashes in quick succession are answered more and more slowly', async (t) => {
  const server = await supervised(t);
  let child;
  for (let i = 0; i < 3; ++i) {
    child = await childOf(server, child);
    await hello(server);
    process.kill(child, 'SIGKILL');
  }
  await childOf(server, child);
  await hello(server);
  const delays = [...server.log().matchAll(/started again in (\d+) ms/g)].map(([, ms]) => Number(ms));
  assert.deepEqual(delays.map((ms) => Math.floor(ms / 100)), [0, 1, 2], server.log());
  await server.stop();
});

test('what never came to serve is not tried again', async () => {
  const child = spawn(BIN, ['serve', '--supervise', '--set', 'no_such_key=1'], { cwd: REPO, stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (text) => (log += text));
  const code = await within(20_000, new Promise((resolve) => child.once('exit', resolve)), 'its end');
  assert.equal(code, 1);
  assert.equal(log.match(/no_such_key/g).length, 1, log);
});

test('a server that is told to stop directly takes its supervisor along; a supervisor that is killed, its server', async (t) => {
  const server = await supervised(t);
  process.kill(await childOf(server), 'SIGTERM');
  await server.stop();

  const orphaned = await startServer('-c', conf, '--supervise');
  const child = await childOf(orphaned);
  process.kill(orphaned.pid, 'SIGKILL');
  for (const end = Date.now() + 20_000 * SLOW; ; await pause(10)) {
    try {
      process.kill(child, 0);
    } catch {
      break;
    }
    assert.ok(Date.now() < end, 'the server is still there');
  }
  await assert.rejects(orphaned.stop(), /SIGKILL/);
});
