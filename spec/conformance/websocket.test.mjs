// WebSockets against RFC 6455: Autobahn's case list by raw frames (websocket_cases.mjs), and what npm's `ws`, a client nobody here wrote,
// makes of the server. Says which cases ran. (Autobahn's own suite is a program for Python 2: it can be fetched, but not run.)

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises';

import { REPO, startServer, within } from '../e2e/support/server.mjs';
import { Peer, closeFrame, frame } from '../e2e/support/websocket.mjs';
import { cases, ours } from './websocket_cases.mjs';

const require = createRequire(path.join(REPO, 'spec/e2e/'));
const WebSocket = require('ws');

let server;
const ran = [];
before(async () => {
  const settings = [`app=${path.join(REPO, 'spec/support/websocket')}`, 'request_budget=256MB', 'memory_budget=2GB', 'websocket_close=20s',
    'script_slice=1min']; // a script that echoes 16 MB never waits
  server = await startServer(...settings.flatMap((one) => ['--set', one]));
});
after(() => server?.stop());

const plain = ({ is, data }) => ({ is, bytes: data.length, data: data.length > 300 ? data.subarray(0, 300).toString('hex') : data.toString('hex') });
const whole = (got, wanted) => got.length === wanted.length && got.every((one, i) => one.is === wanted[i].is && one.data?.equals(wanted[i].data));

async function sendAll(peer, { send, chop, turns }) {
  for (const step of send) {
    if (step.pause) await pause(step.pause);
    else await peer.send(step.bytes ?? step, chop);
    if (turns) await turn();
  }
}

async function takeRounds(peer, { opcode, payload, count }) {
  const bytes = frame(opcode, payload);
  for (let i = 1; i <= count; i++) {
    await peer.send(bytes);
    await peer.count(i);
    const got = peer.events.at(-1);
    assert.ok(got.is === (opcode === 1 ? 'text' : 'binary') && got.data.equals(payload), `answer ${i}`);
  }
  peer.events.splice(0, count);
}

async function run(one) {
  const peer = await Peer.open(server, one.path ?? '/echo');
  const resolved = { ...one, send: typeof one.send === 'function' ? one.send() : one.send };
  const hears = typeof one.hears === 'function' ? one.hears() : one.hears;
  if (one.rounds) await takeRounds(peer, one.rounds);
  await sendAll(peer, resolved);
  if (one.closes === 'client') {
    await peer.count(hears.length, 60_000);
    await peer.send(closeFrame(1000));
  }
  await peer.end(60_000);
  const close = peer.events.at(-2);
  const heard = peer.events.slice(0, -2);
  if (!whole(heard, hears)) assert.deepEqual(heard.map((event) => (event.data ? plain(event) : event)), hears.map(plain));
  assert.equal(peer.events.at(-1).is, 'end', 'the server ends the connection, and does not reset it');
  assert.equal(close?.is, 'close', JSON.stringify(peer.events.slice(-3)));
  const allowed = one.closes === 'client' ? [1000] : (one.closes.answer ?? one.closes);
  assert.ok(allowed.includes(close.code), `closed with ${close.code} ${close.reason}, not ${allowed}`);
  ran.push(one.id);
}

const natural = (a, b) => a.localeCompare(b, 'en', { numeric: true });
const sections = [...new Set(cases.map(({ id }) => id.split('.')[0]))].sort(natural);
for (const section of sections) {
  const those = cases.filter(({ id }) => id.split('.')[0] === section);
  describe(`Autobahn's section ${section}`, { concurrency: those[0].heavy ? 2 : 16 }, () => {
    for (const one of those) test(`${one.id} ${one.title}${one.informational ? ' (informational)' : ''}`, () => run(one));
  });
}
describe('beyond the list', { concurrency: 16 }, () => {
  for (const one of ours) test(one.title, () => run(one));
});

// ---- npm's ws ---------------------------------------------------------------------------------------------------------

const connect = (where, ...more) => {
  const client = new WebSocket(`ws://127.0.0.1:${server.port}${where}`, ...more);
  client.on('error', () => {}); // it is told again by what waits
  return client;
};
const event = (client, name) => within(20_000, new Promise((go, fail) => {
  client.once(name, (...args) => go(args));
  if (name !== 'close') client.once('close', (code, reason) => fail(new Error(`closed before ${name}: ${code} ${reason}`)));
}), `${name} of ws`);

describe("npm's ws", { concurrency: 4 }, () => {
  for (const size of [0, 1, 125, 126, 65535, 65536, 1024 * 1024, 16 * 1024 * 1024]) {
    test(`sends and gets back ${size} bytes, text and binary`, async () => {
      const client = connect('/echo', { maxPayload: 0 });
      await event(client, 'open');
      for (const data of ['ü'.repeat(size / 2), Buffer.alloc(size, 0xfe)]) {
        client.send(data);
        const [got, isBinary] = await event(client, 'message');
        assert.equal(isBinary, typeof data !== 'string');
        assert.ok(got.equals(Buffer.from(data)));
      }
      client.close(1000, 'enough');
      const [code] = await event(client, 'close');
      assert.equal(code, 1000);
    });
  }

  test('sends fragments, and its pings are answered', async () => {
    const client = connect('/echo');
    await event(client, 'open');
    client.send('one ', { fin: false });
    client.ping('are you there?');
    assert.equal(String(await event(client, 'pong')), 'are you there?');
    client.send('two ', { fin: false });
    client.send('three', { fin: true });
    assert.equal(String((await event(client, 'message'))[0]), 'one two three');
    client.close();
    assert.equal((await event(client, 'close'))[0], 1005);
  });

  test('offers compression, and is not taken up on it', async () => {
    const client = connect('/echo', { perMessageDeflate: true });
    const [[response]] = await Promise.all([event(client, 'upgrade'), event(client, 'open')]);
    assert.equal(response.headers['sec-websocket-extensions'], undefined);
    assert.equal(client.extensions, '');
    client.send('plain');
    assert.equal(String((await event(client, 'message'))[0]), 'plain');
    client.close();
    await event(client, 'close');
  });

  test('a thousand messages at once come back in their order', async () => {
    const client = connect('/echo');
    await event(client, 'open');
    const all = new Promise((go) => {
      const got = [];
      client.on('message', (data) => got.push(String(data)) === 1000 && go(got));
    });
    for (let i = 0; i < 1000; i++) client.send(`message ${i}`);
    assert.deepEqual(await within(20_000, all, 'a thousand messages'), Array.from({ length: 1000 }, (_, i) => `message ${i}`));
    client.close();
    await event(client, 'close');
  });
});

after(() => {
  const listed = new Set(cases.map(({ id }) => id));
  const done = ran.filter((id) => listed.has(id));
  const missing = [...listed].filter((id) => !ran.includes(id));
  console.log(`# Autobahn's cases that held: ${done.length} of ${listed.size} (sections ${sections.join(', ')}; 12 and 13 are compression, which is not offered)`);
  console.log(`# in order: ${done.sort(natural).join(' ')}`);
  if (missing.length) console.log(`# did not hold, or did not run: ${missing.join(' ')}`);
});
