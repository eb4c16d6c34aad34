// A running server hands over to a new process: no request is lost, what runs finishes, and a successor that does not come to serve changes nothing.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { ask, call, openStream } from './support/client.mjs';
import { BIN, SLOW, startServer, within } from './support/server.mjs';
import { RATE, missing, steady } from './support/steady.mjs';
import { HELLO, gone, makeApp, succession, upgrade } from './support/succession.mjs';
import { connect, exchange, makeCertificates, startSecureServer } from './support/tls.mjs';

const { folder, write: writeApp, configure } = makeApp();

test('no request fails while three processes follow one another', { skip: missing }, (t) => {
  writeApp(HELLO);
  return succession(['-c', configure(2)], async (server, next) => {
    const load = steady(server.port, 4);
    for (let i = 0; i < 3; ++i) {
      await pause(900);
      await next();
    }
    const figures = await load;
    t.diagnostic(JSON.stringify(figures));
    assert.equal(figures.failed, 0, JSON.stringify(figures));
    assert.ok(figures.sent > RATE * 3);
  });
});

test('the number of workers may change: every socket is listened on', { skip: missing }, (t) => {
  writeApp(HELLO);
  return succession(['-c', configure(4)], async (server, next) => {
    const load = steady(server.port, 5, { rate: RATE / 2 });
    for (const workers of [1, 3, 8]) {
      await pause(800);
      configure(workers);
      await next();
      for (let i = 0; i < 20; ++i) assert.equal((await call(server, 'GET', '/hello')).text, 'hello'); // a new connection each
    }
    const figures = await load;
    t.diagnostic(JSON.stringify(figures));
    assert.equal(figures.failed, 0, JSON.stringify(figures));
  });
});

test('a drain loses nothing that has connected', { skip: missing }, async (t) => {
  writeApp(HELLO);
  const server = await startServer('-c', configure(2));
  const load = steady(server.port, 1.5);
  await pause(1000);
  await server.stop();
  const { closed, reset, status, late, answered, refused } = await load;
  t.diagnostic(JSON.stringify({ answered, refused }));
  assert.deepEqual({ closed, reset, status, late }, { closed: 0, reset: 0, status: 0, late: 0 });
  assert.ok(answered > RATE / 2 && refused > 0);
});

test('a successor that does not come to serve: the old one goes on, and the command says why', async () => {
  writeApp(HELLO);
  await succession(['-c', configure(2)], async (server, next) => {
    writeApp('this is no Lua\n');
    const { status, err } = await upgrade(server.pid);
    assert.equal(status, 1);
    assert.match(err, /the old server serves on: app\.lua:1/);
    assert.equal((await call(server, 'GET', '/hello')).text, 'hello');
    writeApp(HELLO.replace("'hello' }", "'new' }"));
    await next();
    assert.equal((await call(server, 'GET', '/hello')).text, 'new');
  });
});

test('a turn and its stream end where they began', () =>
  succession([], async (server, next) => {
    const { dialogueId } = await ask(server, 'How do I do the plank, and then the side plank?');
    const stream = await openStream(server, dialogueId);
    await stream.until(({ name }) => name === 'textChunk', 'the beginning', 20_000);
    await next();
    await stream.until(({ name }) => name === 'done', 'the end of the answer', 30_000);
    await within(20_000, stream.ended, 'the end of the stream');
    const second = await ask(server, 'And the squat?');
    assert.notEqual(second.dialogueId, dialogueId);
  }));

test('listeners with TLS are handed over like any other', () => {
  writeApp(HELLO);
  const certificates = makeCertificates('alpha', 'beta');
  return succession(['-c', configure(2)], async (server, next) => {
    const kept = await connect(server);
    await next();
    const fresh = await connect(server);
    assert.match(await exchange(fresh, 'GET /hello HTTP/1.1\r\nHost: x\r\n\r\n', (got) => got.endsWith('hello')), /^HTTP\/1.1 200/);
    assert.equal(fresh.getPeerCertificate().subject.CN, 'alpha');
    assert.equal((await call({ url: server.plainUrl }, 'GET', '/hello')).text, 'hello');
    kept.destroy();
    fresh.destroy();
  }, (...args) => startSecureServer(certificates, ['alpha'], ...args));
});

test('sockets of systemd are taken, whatever `listen` says', async () => {
  writeApp(HELLO);
  const listener = net.createServer();
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const { port } = listener.address();
  const stateDir = path.join(folder, 'state');
  const child = spawn('/bin/sh', ['-c', 'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$0" "$@"', BIN, 'serve', '-c', configure(3), '--listen', '127.0.0.1:1',
    '--set', `state_dir=${stateDir}`], { stdio: ['ignore', 'ignore', 'pipe', listener._handle.fd] });
  const ended = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (log += text));
  listener.close();
  try {
    for (const end = Date.now() + 20_000 * SLOW; !log.includes('listening on'); await pause(10)) assert.ok(Date.now() < end && child.exitCode === null, log);
    assert.ok(log.includes(`listening on http://127.0.0.1:${port}`), log);
    for (let i = 0; i < 20; ++i) assert.equal((await call({ url: `http://127.0.0.1:${port}` }, 'GET', '/hello')).text, 'hello');
    const { status, pid, err } = await upgrade(child.pid);
    assert.equal(status, 0, err);
    assert.equal(await within(20_000, ended, 'the old one to end'), 0);
    assert.equal((await call({ url: `http://127.0.0.1:${port}` }, 'GET', '/hello')).text, 'hello');
    process.kill(pid, 'SIGTERM');
    await gone(pid);
  } finally {
    child.kill('SIGKILL');
  }
});
