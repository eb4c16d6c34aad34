// What hardly anybody does, and somebody will: clients that have said all and close their side, answers that break off, requests behind others,
// targets that are none, all of it in the clear and under TLS. Each has its answer, nothing is left, and the log stays quiet.

import assert from 'node:assert/strict';
import net from 'node:net';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';

import { REPO, ledgerAtZero, within } from './support/server.mjs';
import { connect, makeCertificates, startSecureServer } from './support/tls.mjs';

let server;
before(async () => {
  server = await startSecureServer(makeCertificates('alpha'), ['alpha'], '--workers', '1', '--set', `app=${path.join(REPO, 'spec/support/unlucky')}`,
    '--set', 'plugins_enabled=', '--set', 'tts=');
});
after(() => server?.stop());
afterEach(() => ledgerAtZero(server));

/** A connection that collects what comes; `over` gives all of it once the other side has ended: { got, error }. */
async function open(secure) {
  const { hostname: host, port } = new URL(server.plainUrl);
  const socket = secure ? await connect(server, { allowHalfOpen: true }) : net.connect({ host, port, allowHalfOpen: true });
  let got = '', error = null;
  socket.on('error', ({ code }) => (error = code)).on('data', (part) => (got += part.toString('latin1')));
  const ended = new Promise((resolve) => socket.once('end', resolve).once('close', resolve));
  const has = (text) => within(20_000, new Promise((resolve) => {
    const look = () => got.includes(text) && resolve();
    socket.on('data', look);
    look();
  }), `${text} of ${got}`);
  const over = async () => {
    await within(20_000, ended, `the end, after ${got}`);
    await new Promise((resolve) => setImmediate(resolve));
    socket.destroy();
    return { got, error };
  };
  return { socket, has, over };
}

const request = (line, more = '') => `${line}\r\nHost: a\r\n${more}\r\n`;
const statuses = (got) => [...got.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => Number(status));

for (const secure of [false, true]) {
  describe(secure ? 'under TLS' : 'in the clear', () => {
    const say = async (text) => {
      const client = await open(secure);
      client.socket.write(text);
      return client;
    };

    test('a client that closes its side behind its request is cut, in an answer that is still coming', async () => {
      const client = await say(request('GET /stream HTTP/1.1'));
      await client.has('piece 1\n');
      client.socket.end();
      const { got } = await client.over();
      assert.doesNotMatch(got, /\r\n0\r\n\r\n$/);
    });

    test('and in the middle of a head, a body or a chunk it gets nothing', async () => {
      for (const part of ['GET /quick HTTP/1.1\r\nHos', request('POST /body HTTP/1.1', 'Content-Length: 10\r\n') + 'abc',
        request('POST /body HTTP/1.1', 'Transfer-Encoding: chunked\r\n') + '5\r\nab']) {
        const client = await open(secure);
        client.socket.end(part);
        assert.equal((await client.over()).got, '', part);
      }
    });

    test('what is asked behind a stream is answered after it, in order, also what is refused', async () => {
      const last = { 'GET /quick HTTP/1.1': 200, GARBAGE: 400, 'POST /small HTTP/1.1': 413 };
      for (const [line, status] of Object.entries(last)) {
        const client = await say(request('GET /stream?n=3 HTTP/1.1') + request('GET /quick HTTP/1.1') + request('GET /stream?n=2 HTTP/1.1')
          + request(line, line.startsWith('POST') ? 'Content-Length: 5000\r\n' : 'Connection: close\r\n'));
        const { got } = await client.over();
        assert.deepEqual(statuses(got), [200, 200, 200, status]);
        assert.match(got, /piece 3\n[^]*quick[^]*piece 1\n/);
      }
    });

    test('100 Continue is said only when the body may come', async () => {
      const large = await (await say(request('POST /small HTTP/1.1', 'Content-Length: 5000\r\nExpect: 100-continue\r\n'))).over();
      assert.deepEqual(statuses(large.got), [413]);
      const client = await say(request('POST /small HTTP/1.1', 'Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n'));
      await client.has('HTTP/1.1 100 Continue\r\n\r\n');
      client.socket.write('1000\r\n');
      assert.deepEqual(statuses((await client.over()).got), [100, 413]);
      const leaves = await say(request('POST /small HTTP/1.1', 'Content-Length: 5\r\nExpect: 100-continue\r\n'));
      await leaves.has('100 Continue');
      leaves.socket.end();
      assert.deepEqual(statuses((await leaves.over()).got), [100]);
    });

    test('HEAD, 204 and 304 have no body, whatever a script streams', async () => {
      for (const [method, status] of [['HEAD', 200], ['HEAD', 404], ['GET', 204], ['GET', 304], ['HEAD', 204], ['HEAD', 304]]) {
        const client = await say(request(`${method} /status/${status} HTTP/1.1`) + request('GET /quick HTTP/1.1', 'Connection: close\r\n'));
        const { got } = await client.over();
        assert.deepEqual(statuses(got), [status, 200], `${method} ${status}`);
        assert.doesNotMatch(got, /piece|chunked/);
      }
    });

    test('a trailer without measure is refused', async () => {
      const client = await say(request('POST /body HTTP/1.1', 'Transfer-Encoding: chunked\r\n') + '1\r\na\r\n0\r\n');
      for (let i = 0; i < 100; ++i) client.socket.write(`X-T${i}: ${'t'.repeat(1000)}\r\n`);
      assert.deepEqual(statuses((await client.over()).got), [431]);
    });

    test('targets that are no path', async () => {
      for (const [line, status] of [['GET  HTTP/1.1', 400], ['OPTIONS * HTTP/1.1', 204], ['GET * HTTP/1.1', 400], ['CONNECT a:443 HTTP/1.1', 501]]) {
        const client = await say(line.startsWith('CONNECT') ? `${line}\r\nHost: a:443\r\n\r\n` : request(line, 'Connection: close\r\n'));
        assert.deepEqual(statuses((await client.over()).got), [status], line);
      }
    });

    test('compression of WebSockets is not taken up, however it is offered', async () => {
      const client = await say(request('GET /ws HTTP/1.1', 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n'
        + 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, bogus;;\r\n'));
      await client.has('\r\n\r\n');
      client.socket.end();
      const { got } = await client.over();
      assert.deepEqual(statuses(got), [101]);
      assert.doesNotMatch(got, /extensions/i);
    });
  });
}

test('an answer that ends with its connection and breaks off is reset: an orderly end would make it whole', async () => {
  const cases = [
    [request('GET /broken/404 HTTP/1.1'), 404], // of unknown length, and not 200: no chunks
    ['GET /broken/200 HTTP/1.0\r\n\r\n', 200],
  ];
  for (const [text, status] of cases) {
    const client = await open(false);
    client.socket.write(text);
    const { got, error } = await client.over();
    assert.deepEqual(statuses(got), [status]);
    assert.match(got, /piece 1\n$/);
    assert.equal(error, 'ECONNRESET', text);
  }
  const half = await open(false);
  half.socket.write('GET /stream HTTP/1.0\r\n\r\n');
  await half.has('piece 1\n');
  half.socket.end();
  assert.equal((await half.over()).error, 'ECONNRESET');
});

test('nothing of that is worth a line of the log, but what the script did', () => {
  const lines = server.log().split('\n').filter((line) => / (warn|error) /.test(line) && !/broken on purpose/.test(line));
  assert.deepEqual(lines, []);
});
