// Every limit of the edge, in the clear and under TLS, where a client must meet it in the same way. Upper bounds of time are those of a slow
// machine; what is asserted are the answers, and that no limit comes early.

import assert from 'node:assert/strict';
import net from 'node:net';
import { describe, test } from 'node:test';
import tls from 'node:tls';
import { setTimeout as pause } from 'node:timers/promises';

import { ledgerAtZero, within } from './support/server.mjs';
import { makeApp } from './support/succession.mjs';
import { makeCertificates, startSecureServer, until } from './support/tls.mjs';

const APP = `local open = false
app:get('/hello', function(req) req:reply { text = 'hello' } end)
app:post('/take', function(req) req:reply { text = tostring(req.body:len()) } end)
app:get('/pour', function(req)
  local events = req:events {}
  while events:send { data = ('x'):rep(60000) } do end
end)
app:get('/open', function(req) open = true req:reply { text = 'open' } end)
app:get('/one', { max_concurrent = 1, queue = 1, queue_time = '10min' }, function(req)
  while not open do fitnessally.sleep(5) end
  req:reply { text = 'one' }
end)\n`;
const HELLO = 'GET /hello HTTP/1.1\r\nHost: x\r\n\r\n';

/** A client that has connected, or was refused: {text, closed, broken}, growing; `has(pattern)` and `gone()` wait. */
function client(server, version) {
  const place = { port: version ? server.securePort : server.port, host: '127.0.0.1' };
  const socket = version ? tls.connect({ ...place, rejectUnauthorized: false, minVersion: version, maxVersion: version }) : net.connect(place);
  const it = { socket, text: '', closed: false, ready: new Promise((resolve) => socket.once(version ? 'secureConnect' : 'connect', resolve).once('close', resolve)) };
  socket.on('data', (part) => (it.text += part.toString('latin1'))).on('error', (error) => (it.broken = error)).on('close', () => (it.closed = true));
  const so = (look, what) => within(20_000, until(look), what).then(() => assert.ok(look(), `${what}: ${it.text.slice(-300)}`));
  it.has = (pattern) => so(() => pattern.test(it.text), `${pattern}`);
  it.gone = () => so(() => it.closed, 'the end of the connection');
  it.asks = (text) => it.ready.then(() => socket.write(text));
  return it;
}

async function connected(server, version) {
  const it = client(server, version);
  await it.asks(HELLO);
  await it.has(/hello$/);
  return it;
}

/** At accept: an answer in the clear, no handshake under TLS. */
async function refusedAtAccept(server, version, status) {
  const it = client(server, version);
  if (!version) await it.asks(HELLO);
  await it.gone();
  if (version) assert.equal(it.text, '');
  else assert.match(it.text, new RegExp(`^HTTP/1.1 ${status} [^]*retry-after: 1\r\n`, 'i'));
}

/** Until it is closed. What is written to a closed socket is an error that it knows of. */
async function drip(it, bytes, ms) {
  for (const byte of bytes) {
    if (it.closed || / 408 /.test(it.text)) break;
    it.socket.write(byte);
    await pause(ms);
  }
  await it.gone();
}

const at = () => performance.now();

/** name: [settings, (server, version) => promise]. */
const LIMITS = {
  'open connections': [['max_connections=3'], async (server, version) => {
    const three = await Promise.all([0, 1, 2].map(() => connected(server, version)));
    await refusedAtAccept(server, version, 503);
    three[0].socket.destroy();
    for (const end = Date.now() + 20_000; ;) { // the place is free when the server has seen the end
      const it = client(server, version);
      await it.asks(HELLO);
      await until(() => it.closed || /hello$/.test(it.text));
      it.socket.destroy();
      if (/hello$/.test(it.text)) break;
      assert.ok(Date.now() < end, it.text);
    }
    three.forEach(({ socket }) => socket.destroy());
  }],
  'open connections of an address': [['max_connections_per_address=2'], async (server, version) => {
    const two = await Promise.all([0, 1].map(() => connected(server, version)));
    await refusedAtAccept(server, version, 429);
    two.forEach(({ socket }) => socket.destroy());
  }],
  'new connections a second': [['accept_rate=20'], async (server, version) => {
    const began = at();
    const all = await Promise.all(Array.from({ length: 50 }, () => connected(server, version))); // 20 at once, then 20 a second
    assert.ok(at() - began > 1300, `all 50 after ${at() - began} ms`);
    all.forEach(({ socket }) => socket.destroy());
  }],
  'silence after the connection is made': [['head_timeout=500ms'], async (server, version) => {
    const it = client(server, version);
    await it.ready;
    await it.gone();
    assert.equal(it.text, '');
  }],
  'a head that drips': [['head_timeout=2s'], async (server, version) => {
    const it = await connected(server, version), began = at();
    it.text = '';
    await drip(it, `GET /hello HTTP/1.1\r\nHost: x\r\n${'A: b\r\n'.repeat(10_000)}`, 20);
    assert.match(it.text, / 408 [^]*connection: close\r\n[^]*"code":"request_timeout"/i);
    assert.ok(at() - began > 1900, `after ${at() - began} ms`);
  }],
  'a body that drips': [['head_timeout=2s', 'request_timeout=10min', 'body_rate=1MB'], async (server, version) => {
    const it = client(server, version), began = at();
    await it.asks('POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n');
    await drip(it, 'x'.repeat(100_000), 20);
    assert.match(it.text, / 408 [^]*connection: close\r\n/i);
    assert.ok(at() - began > 1900, `after ${at() - began} ms`);
  }],
  'the whole of a request': [['request_timeout=1s', 'body_rate=0'], async (server, version) => {
    const it = client(server, version), began = at();
    await it.asks('POST /take HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
    await drip(it, Array(10_000).fill('1\r\nx\r\n'), 20);
    assert.match(it.text, / 408 [^]*connection: close\r\n/i);
    assert.ok(at() - began > 900, `after ${at() - began} ms`);
  }],
  'silence between two requests': [['idle_timeout=500ms'], async (server, version) => {
    const began = at(), it = await connected(server, version), length = it.text.length;
    await it.gone();
    assert.equal(it.text.length, length);
    assert.ok(at() - began > 400, `after ${at() - began} ms`);
  }],
  'requests of a connection': [['max_requests_per_connection=3'], async (server, version) => {
    const it = client(server, version);
    await it.asks(HELLO.repeat(5));
    await it.gone();
    const answers = it.text.match(/HTTP\/1.1 200 [^]*?\r\n\r\n/g);
    assert.deepEqual(answers.map((head) => /connection: close/i.test(head)), [false, false, true]);
  }],
  'a client that takes nothing of its answer': [['send_stall=500ms'], async (server, version) => {
    const it = client(server, version);
    await it.asks('GET /pour HTTP/1.1\r\nHost: x\r\n\r\n');
    await it.has(/data: x/);
    it.socket.pause();
    await server.logged(/cut, 127\.0\.0\.1 took nothing for 500 ms/);
    it.socket.destroy();
  }],
  'requests of a route at a time': [[], async (server, version) => {
    const ask = () => {
      const it = client(server, version);
      return it.asks('GET /one HTTP/1.1\r\nHost: x\r\n\r\n').then(() => it);
    };
    const clients = await Promise.all([ask(), ask(), ask()]); // one runs, one waits, one is too many
    await until(() => clients.some(({ text }) => / 503 /.test(text)));
    assert.equal(clients.filter(({ text }) => / 503 [^]*retry-after: /i.test(text)).length, 1);
    assert.equal(clients.filter(({ text }) => text === '').length, 2);
    await connected(server, version).then(async (it) => {
      it.socket.write('GET /open HTTP/1.1\r\nHost: x\r\n\r\n');
      await it.has(/open$/);
      it.socket.destroy();
    });
    await Promise.all(clients.filter(({ text }) => !/ 503 /.test(text)).map((it) => it.has(/one$/)));
    clients.forEach(({ socket }) => socket.destroy());
  }],
};

const certificates = makeCertificates('alpha'), app = makeApp(APP), configuration = app.configure(1);
process.setMaxListeners(100); // each server looks after its own end

for (const [where, version] of [['in the clear'], ['under TLS 1.2', 'TLSv1.2'], ['under TLS 1.3', 'TLSv1.3']]) {
  describe(where, { concurrency: 4 }, () => {
    for (const [name, [settings, meet]] of Object.entries(LIMITS)) {
      test(name, async () => {
        const server = await startSecureServer(certificates, ['alpha'], '-c', configuration, ...settings.flatMap((one) => ['--set', one]));
        try {
          await meet(server, version);
          await ledgerAtZero(server);
        } finally {
          await server.stop();
        }
      });
    }
  });
}
