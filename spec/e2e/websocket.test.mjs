// What a script's WebSockets are to clients beyond the frames (spec/conformance): who may connect, how they end, and that nothing is left.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { call } from './support/client.mjs';
import { REPO, SLOW, ledgerAtZero, startServer, within } from './support/server.mjs';
import { makeCertificates, startSecureServer } from './support/tls.mjs';
import { Peer, TEXT, closeFrame, frame, handshake } from './support/websocket.mjs';

const APP = ['--set', `app=${path.join(REPO, 'spec/support/websocket')}`];
const say = (text) => frame(TEXT, text);
const told = (peer) => peer.events.filter((one) => one.is === 'text').map((one) => String(one.data));

async function notes(server, wanted) {
  for (let i = 0; i < 100 * SLOW; i++) {
    const { json } = await call(server, 'GET', '/notes');
    const all = Array.isArray(json.notes) ? json.notes : [];
    if (all.some((one) => wanted.test(one))) return all;
    await pause(50);
  }
  throw new Error(`no note like ${wanted}`);
}

describe('a handshake', () => {
  let server;
  before(async () => (server = await startServer(...APP, '--set', 'workers=1')));
  after(() => server?.stop());
  afterEach(() => ledgerAtZero(server));

  const ask = async (where, headers) => {
    const peer = new Peer(server.port);
    const head = await peer.ask(handshake(where, headers));
    peer.destroy();
    return head;
  };
  const code = ({ text }) => JSON.parse(text).error.code;

  for (const [what, where, headers, status, wanted] of [
    ['of the page of the host itself', '/echo', { Origin: 'http://localhost' }, 101],
    ["of another host's page", '/echo', { Origin: 'http://evil.example' }, 403, 'origin_refused'],
    ['of a sandboxed page', '/echo', { Origin: 'null' }, 403, 'origin_refused'],
    ['of a listed page', '/pages', { Origin: 'https://a.example' }, 101],
    ['of a page that is not on the list, though of the host', '/pages', { Origin: 'http://localhost' }, 403, 'origin_refused'],
    ["of anybody's page where that is meant", '/anybody', { Origin: 'https://who.ever' }, 101],
    ['of another version', '/echo', { 'Sec-WebSocket-Version': '8' }, 426, 'websocket_version'],
    ['without a key', '/echo', { 'Sec-WebSocket-Key': undefined }, 400, 'websocket_key'],
    ['with a key that is too short', '/echo', { 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZQ==' }, 400, 'websocket_key'],
    ['that is none', '/echo', { Upgrade: undefined, Connection: 'close' }, 426, 'websocket_wanted'],
    ['for another protocol', '/echo', { Upgrade: 'h2c' }, 426, 'websocket_wanted'],
  ]) {
    test(`${what} is answered ${status}`, async () => {
      const head = await ask(where, headers);
      assert.equal(head.status, status, head.text);
      if (wanted) assert.equal(code(head), wanted);
      if (status === 426) assert.equal(head.headers.upgrade, 'websocket');
      if (wanted === 'websocket_version') assert.equal(head.headers['sec-websocket-version'], '13');
      if (status === 101) assert.equal(head.headers['sec-websocket-accept'], 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
    });
  }

  test('chooses the first of our protocols that the client speaks', async () => {
    const peer = await Peer.open(server, '/chat', { 'Sec-WebSocket-Protocol': 'other, chat.v1, chat.v2' });
    assert.equal(peer.head.headers['sec-websocket-protocol'], 'chat.v2');
    await peer.count(1);
    assert.deepEqual(told(peer), ['chat.v2']);
    await peer.end(); // the handler has returned
    assert.equal(peer.events.at(-2).code, 1000);
    const none = await Peer.open(server, '/chat', { 'Sec-WebSocket-Protocol': 'other' });
    assert.equal(none.head.headers['sec-websocket-protocol'], undefined);
    none.destroy();
  });

  test('waits for its turn at a route with a limit, which an open connection takes', async () => {
    const two = [await Peer.open(server, '/few'), await Peer.open(server, '/few')];
    assert.equal((await ask('/few')).status, 503);
    two[0].destroy();
    let status = 503;
    for (let i = 0; i < 100 && status !== 101; i++) {
      status = (await ask('/few')).status;
      if (status !== 101) await pause(20);
    }
    assert.equal(status, 101);
    two[1].destroy();
  });
});

for (const workers of [1, 2]) {
  describe(`a connection, ${workers} worker${workers > 1 ? 's' : ''}`, () => {
    let server;
    before(async () => (server = await startServer(...APP, '--set', `workers=${workers}`, '--set', 'send_stall=1s', '--set', 'websocket_close=2s')));
    after(() => server?.stop());
    afterEach(() => ledgerAtZero(server));

    test('has the request that it began with', async () => {
      const peer = await Peer.open(server, '/noted/ada?q=1%202');
      await peer.send(say('hello'));
      await peer.count(1);
      assert.deepEqual(JSON.parse(told(peer)[0]), { name: 'ada', length: 5, query: '1 2' });
      await peer.send(closeFrame(4321, 'bye'));
      await peer.end();
      assert.equal(peer.events.at(-2).code, 4321);
      if (workers === 1) await notes(server, /^ada closed 4321 bye$/);
    });

    test('is counted while it is open, and for ever', async () => {
      const counted = async () => (await call(server, 'GET', '/figures')).json.websockets;
      const before = await counted();
      const peers = await Promise.all([1, 2, 3].map(() => Peer.open(server, '/echo')));
      assert.deepEqual(await counted(), { open: before.open + 3, total: before.total + 3 });
      peers.forEach((peer) => peer.destroy());
      let now;
      for (let i = 0; i < 100 * SLOW && (now = await counted()).open !== before.open; i++) await pause(50);
      assert.deepEqual(now, { open: before.open, total: before.total + 3 });
    });

    test('whose client vanishes cancels its task', async () => {
      const name = `gone${workers}`;
      const peer = await Peer.open(server, `/noted/${name}`);
      await peer.send(say('hello'));
      await peer.count(1);
      peer.destroy();
      if (workers === 1) await notes(server, new RegExp(`^${name} raised .*cancelled: request GET /noted/${name} ended \\(the client vanished\\)`));
    });

    test('is closed by its script, once', async () => {
      const peer = await Peer.open(server, '/commands');
      await peer.send(say('close 3000 because'));
      await peer.count(1);
      assert.deepEqual(peer.events[0], { is: 'close', code: 3000, reason: 'because' });
      assert.equal(peer.ended, false); // it waits for our part
      await peer.send(closeFrame(3000));
      await peer.end();
      assert.equal(peer.events.length, 2);
    });

    test('whose client does not answer a Close is left after websocket_close', async () => {
      const peer = await Peer.open(server, '/commands');
      await peer.send(say('close'));
      const started = Date.now();
      await peer.end();
      assert.ok(Date.now() - started >= 1500, 'not at once');
    });

    test('whose script fails is closed with 1011', async () => {
      const peer = await Peer.open(server, '/commands');
      await peer.send(say('fail'));
      await peer.count(1);
      assert.equal(peer.events[0].code, 1011);
      assert.doesNotMatch(peer.events[0].reason, /purpose/);
      peer.destroy();
    });

    test('whose client takes nothing is cut after send_stall, and its writer waited', async () => {
      const peer = await Peer.open(server, '/commands');
      await peer.send(say('flood 65536 2000')); // 128 MB, more than any kernel takes
      peer.socket.pause();
      await pause(3000 * SLOW);
      peer.socket.resume();
      await peer.end(60_000);
      const got = peer.events.filter((one) => one.is === 'binary').length;
      assert.ok(got < 1500, `${got} of 2000 had left`);
      assert.notEqual(peer.events.at(-2)?.is, 'close');
    });

    test('whose client takes slowly gets all of it', async () => {
      const peer = await Peer.open(server, '/commands');
      await peer.send(say('flood 100000 100'));
      const slow = setInterval(() => (peer.socket.pause(), setTimeout(() => peer.socket.resume(), 5)), 10);
      await peer.count(100);
      clearInterval(slow);
      peer.socket.resume();
      assert.ok(peer.events.every((one) => one.data.length === 100000));
      peer.destroy();
    });

    test('that sends more than its script takes is held back, and all of it arrives', async () => {
      const peer = await Peer.open(server, '/deaf');
      const sending = (async () => {
        for (let i = 0; i < 200; i++) await peer.send(frame(2, Buffer.alloc(60_000, i)));
        await peer.send(say('end'));
      })();
      await pause(700);
      assert.ok(peer.socket.writableLength > 0, 'the server has stopped reading');
      await sending;
      await peer.until(() => told(peer).length === 1, 'the count');
      assert.deepEqual(JSON.parse(told(peer)[0]), { count: 201, bytes: 200 * 60_000 + 3 });
      peer.destroy();
    });

    test('that is silent is pinged; without an answer it is cut', async () => {
      const peer = await Peer.open(server, '/pinged');
      await peer.end();
      assert.ok(peer.events.some((one) => one.is === 'ping'));
      assert.ok(!peer.events.some((one) => one.is === 'close'));
    });

    test('that answers pings stays', async () => {
      const peer = await Peer.open(server, '/pinged');
      for (let i = 1; i <= 5; i++) {
        await peer.until(() => peer.events.filter((one) => one.is === 'ping').length >= i, 'a ping');
        await peer.send(frame(10, ''));
      }
      await peer.send(say('still here'));
      await peer.until(() => told(peer).length === 1, 'an echo');
      peer.destroy();
    });
  });
}

test("npm's ws has the same over TLS", async () => {
  const WebSocket = createRequire(import.meta.url)('ws');
  const server = await startSecureServer(makeCertificates('alpha'), ['alpha'], ...APP, '--set', 'request_budget=256MB');
  const event = (client, name) => within(20_000, new Promise((go) => client.once(name, (...args) => go(args))), `${name} of ws`);
  try {
    const client = new WebSocket(`wss://127.0.0.1:${server.securePort}/echo`, { rejectUnauthorized: false, maxPayload: 0 });
    await event(client, 'open');
    for (const size of [0, 5, 70_000, 16 * 1024 * 1024]) {
      client.send(Buffer.alloc(size, 7));
      const [got] = await event(client, 'message');
      assert.ok(got.equals(Buffer.alloc(size, 7)), `${size} bytes`);
    }
    client.close(1000);
    assert.equal((await event(client, 'close'))[0], 1000);
    const other = new WebSocket(`wss://127.0.0.1:${server.securePort}/commands`, { rejectUnauthorized: false });
    await event(other, 'open');
    other.send('close 3001 enough');
    assert.deepEqual((await event(other, 'close')).map(String), ['3001', 'enough']);
  } finally {
    await server.stop();
  }
});

test('a server that drains closes its WebSockets with 1001, and ends in time', async () => {
  const server = await startServer(...APP, '--set', 'drain=30s');
  const peers = await Promise.all(Array.from({ length: 20 }, () => Peer.open(server, '/echo')));
  const started = Date.now();
  const ended = server.stop();
  for (const peer of peers) {
    await peer.count(1);
    assert.equal(peer.events[0].code, 1001);
    await peer.send(closeFrame(1001));
    await peer.end();
  }
  await ended;
  assert.ok(Date.now() - started < 20_000, 'nobody waited for the end of the drain');
});
