// HTTP/2 for trusted clients: requests, what is refused, and streams of events, which stay with their connection while the dialogue may be
// at home on another worker.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import tls from 'node:tls';

import { parseBlock, ask, assertConsecutive, call, lastStatus, logged, named, streamPath } from './support/client.mjs';
import { REPO, SLOW, ledgerAtZero, within } from './support/server.mjs';
import { HEALTH, connect, exchange, makeCertificates, startSecureServer, until } from './support/tls.mjs';

// For the sanitizer build: what h2o keeps of HTTP/2 for each thread until the process ends (docs/http.md).
process.env.LSAN_OPTIONS = `${process.env.LSAN_OPTIONS ?? ''}:suppressions=${path.join(REPO, 'spec/support/http2_lsan.supp')}:print_suppressions=0`;

const TRUSTED = ['--set', 'http2=trusted'];
const times = (count, make) => Promise.all(Array.from({ length: count }, (_, i) => make(i)));

/** A session of its own for each, so that the kernel spreads them over the workers. */
function session(server) {
  const opened = http2.connect(server.url, { rejectUnauthorized: false });
  opened.on('error', () => {});
  return opened;
}

function request(client, headers, body) {
  const answer = new Promise((resolve, reject) => {
    const stream = client.request({ ':path': '/', ...headers });
    const parts = [];
    let head;
    stream.on('response', (got) => (head = got)).on('data', (part) => parts.push(part)).on('error', reject);
    stream.on('end', () => resolve({ status: head?.[':status'], headers: head, text: Buffer.concat(parts).toString() }));
    stream.on('close', () => stream.rstCode && reject(new Error(`reset: ${stream.rstCode}`)));
    stream.end(body);
  });
  return within(20_000, answer, `${headers[':method'] ?? 'GET'} ${headers[':path']}`);
}

/** As openStream of support/client.mjs. */
async function listen(server, id, { more = '', lastEventId, client = session(server) } = {}) {
  const stream = client.request({ ':path': streamPath(id, more), ...(lastEventId && { 'last-event-id': lastEventId }) });
  const events = [];
  let rest = '', status;
  stream.setEncoding('utf8').on('data', (text) => {
    const blocks = (rest + text).split('\n\n');
    rest = blocks.pop();
    events.push(...blocks.map(parseBlock));
  }).on('error', () => {});
  const ended = new Promise((resolve) => stream.on('close', () => {
    client.close();
    resolve(stream.rstCode);
  }));
  await within(10_000, new Promise((resolve) => stream.on('response', (head) => resolve((status = head[':status'])))), 'an answer');
  const wait = async (test, what) => {
    await until(() => test());
    assert.ok(test(), `${what}; events: ${events.length}`);
  };
  return { status, events, ended, wait, cut: () => client.destroy(), reset: () => stream.close(http2.constants.NGHTTP2_CANCEL) };
}

async function nothingIsLeft(server) {
  let last;
  const look = () => call(server, 'GET', '/api/health/memory').then(({ json }) => (last = json.ledger), () => {});
  const quiet = () => last && ['dialogue', 'turn', 'listener', 'request'].every((kind) => last.byKind[kind].count === 0) && last.inFlight === 0;
  for (const end = Date.now() + 15_000 * SLOW; Date.now() < end && !quiet();) await look();
  for (const kind of ['dialogue', 'turn', 'listener', 'request']) assert.equal(last.byKind[kind].count, 0, kind);
  assert.equal(last.inFlight, 0);
}

describe('requests', () => {
  let server, client;
  before(async () => {
    server = await startSecureServer(makeCertificates('alpha'), ['alpha'], ...TRUSTED, '--set', `app=${path.join(REPO, 'spec/support/bodies')}`);
    client = session(server);
  });
  after(() => {
    client?.destroy();
    return server?.stop();
  });

  test('it is offered beside HTTP/1.1, and start-up warns', async () => {
    await server.logged(/HTTP\/2 is offered \(http2 = "trusted"\)/);
    const both = await connect(server, { ALPNProtocols: ['http/1.1', 'h2'] });
    assert.equal(both.alpnProtocol, 'h2');
    both.destroy();
    const old = await connect(server, { ALPNProtocols: ['http/1.1'] });
    assert.match(await exchange(old, HEALTH.replace('/api/health', '/raw'), (got) => got.includes('\r\n\r\n')), /^HTTP\/1\.1 405 /);
    old.destroy();
  });

  test('a listener without TLS speaks HTTP/1.1 beside it, and nothing else', async () => {
    assert.equal((await call({ url: server.plainUrl }, 'GET', '/raw')).status, 405);
    const prior = http2.connect(server.plainUrl);
    await assert.rejects(within(10_000, new Promise((resolve, reject) => prior.on('error', reject).on('remoteSettings', resolve)), 'a refusal'));
    assert.equal((await call({ url: server.plainUrl }, 'GET', '/raw')).status, 405);
  });

  test('bodies go both ways, many at a time on one connection', async () => {
    await times(50, async (i) => {
      const body = Buffer.alloc(1 + i * 20_011, 'z');
      const { status, text } = await request(client, { ':method': 'POST', ':path': '/raw', 'content-length': body.length }, body);
      assert.equal(status, 200, text);
      assert.equal(JSON.parse(text).length, body.length);
    });
  });

  test('a large answer comes whole, and one that is not read does not stop the others', async () => {
    const BIG = Buffer.alloc(3 * 1024 * 1024, 'abcdefghijklmnopqrstuvwxyz');
    const form = Buffer.concat([Buffer.from('--q\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'), BIG, Buffer.from('\r\n--q--\r\n')]);
    const headers = { ':method': 'POST', ':path': '/mirror', 'content-type': 'multipart/form-data; boundary=q' };
    const ignored = client.request(headers);
    ignored.on('error', () => {});
    ignored.end(form);
    ignored.pause();
    const { status, text } = await request(client, headers, form);
    assert.equal(status, 200);
    assert.ok(text === BIG.toString());
    ignored.close(http2.constants.NGHTTP2_CANCEL);
  });

  test('what the gate refuses of HTTP/1 is refused here', async () => {
    const cases = [
      [{ ':path': '/../raw' }, 400], [{ ':path': '/%2e%2e/raw' }, 400], [{ ':path': '/raw%00' }, 400], [{ ':path': '/a b' }, 400],
      [{ ':path': 'raw' }, 400], [{ ':path': '/raw', ':authority': 'a/b' }, 400], [{ ':path': '/raw', ':authority': 'u@x' }, 400],
    ];
    for (const [headers, wanted] of cases) {
      const { status, text } = await request(client, headers).catch((error) => ({ text: error.message }));
      assert.equal(status, wanted, `${JSON.stringify(headers)}: ${text}`);
      assert.equal(typeof JSON.parse(text).error.requestId, 'string');
    }
    for (const length of [3_000, 6_000_000]) { // the latter is above request_budget, too
      const large = await request(client, { ':method': 'POST', ':path': '/small' }, Buffer.alloc(length));
      assert.equal(large.status, 413);
    }
    assert.equal((await request(client, { ':path': '/nowhere' })).status, 404);
  });
});

test('a session that asks nothing, or leaves a body unfinished, is closed after idle_timeout', async (t) => {
  const server = await startSecureServer(makeCertificates('alpha'), ['alpha'], ...TRUSTED, '--set', 'idle_timeout=1s');
  t.after(() => server.stop());
  const closed = (client) => within(10_000, new Promise((resolve) => client.once('close', resolve)), 'the close');
  const unfinished = session(server), silent = session(server);
  const upload = unfinished.request({ ':method': 'POST', ':path': '/api/nothing' });
  upload.on('error', () => {}).write('the beginning');
  await Promise.all([closed(silent), closed(unfinished)]);
});

describe('a request that does not come to its end within request_timeout', () => {
  let server;
  before(async () => (server = await startSecureServer(makeCertificates('alpha'), ['alpha'], ...TRUSTED, '--set', 'request_timeout=1s',
    '--set', 'idle_timeout=10min', '--set', `app=${path.join(REPO, 'spec/support/bodies')}`)));
  after(() => server?.stop());
  afterEach(() => ledgerAtZero(server));

  test('is reset when its body drips, and the others of its connection go on', async () => {
    const client = session(server), began = Date.now();
    const slow = request(client, { ':method': 'POST', ':path': '/slow?ms=2500' }, ''); // whole: it is the answer that takes its time
    const upload = client.request({ ':method': 'POST', ':path': '/raw' });
    const reset = new Promise((resolve) => upload.on('error', () => {}).on('close', () => resolve(upload.rstCode)));
    const drip = setInterval(() => upload.write('x'), 50);
    assert.equal(await within(20_000, reset, 'the reset'), http2.constants.NGHTTP2_STREAM_CLOSED);
    clearInterval(drip);
    assert.ok(Date.now() - began > 900);
    assert.equal((await slow).status, 200);
    assert.equal((await request(client, { ':method': 'POST', ':path': '/raw' }, 'after it')).status, 200);
    client.close();
  });

  test('ends with its connection when a frame of it drips', async () => {
    const socket = await connect(server, { ALPNProtocols: ['h2'] });
    const closed = new Promise((resolve) => socket.on('error', () => {}).once('close', resolve).resume());
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])); // SETTINGS
    socket.write(Buffer.from([0, 1, 0, 1, 4, 0, 0, 0, 1])); // HEADERS of 256 bytes
    const drip = setInterval(() => socket.write(Buffer.of(0x82)), 50);
    await within(20_000, closed, 'the end');
    clearInterval(drip);
  });
});

/** Frames by hand: a request that is complete with its head, GET /nowhere. */
const HEAD = Buffer.concat([Buffer.of(0x82, 0x87, 0x44, 8), Buffer.from('/nowhere'), Buffer.of(0x41, 9), Buffer.from('127.0.0.1')]);
function frame(type, flags, stream, payload = Buffer.alloc(0)) {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}
const PREFACE = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(4, 0, 0)]);

/** What comes, as [type, stream, payload]. */
function frames(socket) {
  const all = [];
  let rest = Buffer.alloc(0);
  socket.on('data', (part) => {
    rest = Buffer.concat([rest, part]);
    for (let length; rest.length >= 9 && rest.length >= 9 + (length = rest.readUIntBE(0, 3)); rest = rest.subarray(9 + length))
      all.push([rest[3], rest.readUInt32BE(5), rest.subarray(9, 9 + length)]);
  });
  return all;
}

describe('body_rate', () => {
  let server;
  before(async () => (server = await startSecureServer(makeCertificates('alpha'), ['alpha'], ...TRUSTED, '--set', 'body_rate=1KB', '--set', 'head_timeout=1s',
    '--set', 'idle_timeout=10min', '--set', 'request_timeout=10min', '--set', `app=${path.join(REPO, 'spec/support/bodies')}`)));
  after(() => server?.stop());
  afterEach(() => ledgerAtZero(server));

  test('a body that is slower has its stream reset; those that have brought enough, and the others, go on', async () => {
    const client = session(server);
    const early = client.request({ ':method': 'POST', ':path': '/raw' });
    const answered = new Promise((resolve, reject) => early.on('response', (head) => resolve(head[':status'])).on('error', reject));
    early.write(Buffer.alloc(200_000)); // enough for three minutes
    const slow = client.request({ ':method': 'POST', ':path': '/raw' });
    const reset = new Promise((resolve) => slow.on('error', () => {}).on('close', () => resolve(slow.rstCode)));
    const drip = setInterval(() => slow.write('x'), 50);
    assert.equal(await within(60_000, reset, 'the reset'), http2.constants.NGHTTP2_STREAM_CLOSED);
    clearInterval(drip);
    early.end();
    assert.equal(await within(20_000, answered, 'the answer'), 200);
    client.close();
  });

  test('a frame of a body that drips ends the connection', async () => {
    const socket = await connect(server, { ALPNProtocols: ['h2'] });
    const closed = new Promise((resolve) => socket.on('error', () => {}).once('close', resolve).resume());
    const head = Buffer.concat([Buffer.of(0x83, 0x87, 0x44, 4), Buffer.from('/raw'), Buffer.of(0x41, 9), Buffer.from('127.0.0.1')]);
    socket.write(Buffer.concat([PREFACE, frame(1, 4, 1, head)]));
    socket.write(frame(0, 0, 1, Buffer.alloc(10_000)).subarray(0, 100));
    const drip = setInterval(() => socket.write('x'), 50);
    await within(60_000, closed, 'the end');
    clearInterval(drip);
  });
});

describe('max_requests_per_connection', () => {
  const GOAWAY = 7, LAST = 0x7fffffff;
  let server;
  before(async () => (server = await startSecureServer(makeCertificates('alpha'), ['alpha'], ...TRUSTED, '--workers', '1', '--set', 'max_requests_per_connection=3')));
  after(() => server?.stop());
  afterEach(() => ledgerAtZero(server));

  test('a client hears which one was the last, all are answered, and it comes again', async () => {
    const other = session(server);
    assert.equal((await request(other, { ':path': '/nowhere' })).status, 404);
    for (let round = 0; round < 3; ++round) {
      const client = session(server);
      const told = new Promise((resolve) => client.on('goaway', (code, last) => resolve([code, last])));
      const closed = new Promise((resolve) => client.on('close', resolve));
      const answers = await times(3, () => request(client, { ':path': '/nowhere' }));
      assert.deepEqual(answers.map(({ status }) => status), [404, 404, 404]);
      assert.deepEqual(await within(20_000, told, 'GOAWAY'), [0, LAST]);
      await within(20_000, closed, 'the end of the session');
    }
    assert.equal((await request(other, { ':path': '/nowhere' })).status, 404, 'another connection has its own count');
    other.close();
  });

  test('one that goes on all the same is answered 100 times more, then not', async () => {
    const socket = await connect(server, { ALPNProtocols: ['h2'] });
    const closed = new Promise((resolve) => socket.on('error', () => {}).once('close', resolve));
    const got = frames(socket);
    const answered = () => got.filter(([type]) => type === 1).length;
    socket.write(PREFACE);
    for (let i = 0; i < 103; ++i) {
      socket.write(frame(1, 5, 1 + 2 * i, HEAD));
      if (i % 20 === 0) await until(() => answered() > i);
    }
    await within(20_000, closed, 'the end');
    assert.equal(answered(), 103);
    const goodbyes = got.filter(([type]) => type === GOAWAY).map(([, , payload]) => payload.readUInt32BE(0));
    assert.deepEqual(goodbyes, [LAST, LAST, 205]);
  });

  test('a body that is under way when the last one comes is taken', async () => {
    const client = session(server);
    const upload = client.request({ ':method': 'POST', ':path': '/nowhere' });
    const answered = new Promise((resolve, reject) => upload.on('response', (head) => resolve(head[':status'])).on('error', reject));
    upload.write('the beginning');
    const told = new Promise((resolve) => client.on('goaway', resolve));
    await times(2, () => request(client, { ':path': '/nowhere' }));
    await within(20_000, told, 'GOAWAY');
    upload.end('the rest');
    assert.equal(await within(20_000, answered, 'the answer'), 404);
  });
});

test('a drain ends idle sessions and lets a request finish', async () => {
  const server = await startSecureServer(makeCertificates('alpha'), ['alpha'], ...TRUSTED, '--set', `app=${path.join(REPO, 'spec/support/bodies')}`);
  const idle = session(server), busy = session(server);
  assert.equal((await request(idle, { ':path': '/nowhere' })).status, 404);
  assert.equal((await request(busy, { ':path': '/nowhere' })).status, 404);
  const slow = request(busy, { ':method': 'POST', ':path': '/slow?ms=800' }, '');
  await new Promise((resolve) => setTimeout(resolve, 100));
  const stopped = server.stop();
  assert.equal((await slow).status, 200);
  await stopped;
});

test('a drain also ends sessions that begin while it lasts', async () => {
  const server = await startSecureServer(makeCertificates('alpha'), ['alpha'], ...TRUSTED, '--workers', '1', '--set', 'drain=1min',
    '--set', 'idle_timeout=10min', '--set', `app=${path.join(REPO, 'spec/support/bodies')}`);
  const busy = session(server), bare = net.connect(server.securePort, '127.0.0.1');
  await once(bare, 'connect');
  assert.equal((await request(busy, { ':path': '/nowhere' })).status, 404);
  const slow = request(busy, { ':method': 'POST', ':path': `/slow?ms=${3000 * SLOW}` }, '');
  await new Promise((resolve) => busy.ping(resolve)); // it is there
  let goodbyes = 0;
  const twice = new Promise((resolve) => busy.on('goaway', () => ++goodbyes === 2 && resolve()));
  const began = Date.now(), stopped = server.stop();
  await within(10_000 * SLOW, twice, 'a second GOAWAY: the drain of h2o is through with those that were there');
  const late = http2.connect(server.url, { createConnection: () => tls.connect({ socket: bare, rejectUnauthorized: false, ALPNProtocols: ['h2'] }) });
  const ended = new Promise((resolve) => late.on('error', () => {}).once('close', resolve));
  assert.equal((await slow).status, 200);
  await within(20_000, ended, 'the end of the late one');
  await stopped;
  assert.ok(Date.now() - began < 40_000);
});

test('streams that are on their way when the server drains come to an end', async () => {
  const server = await startSecureServer(makeCertificates('alpha'), ['alpha'], ...TRUSTED, '--workers', '4');
  const asked = await times(16, (i) => ask(server, `What is a burpee? (${i})`));
  const clients = asked.map(() => session(server));
  const ends = asked.map(({ dialogueId }, i) => new Promise((resolve) => {
    clients[i].on('close', () => resolve());
    clients[i].request({ ':path': streamPath(dialogueId, '&follow=1') }).on('error', () => {}).on('close', resolve).resume();
  }));
  await server.stop();
  await within(20_000, Promise.all(ends), 'the ends');
  clients.forEach((client) => client.destroy());
});

describe('dialogues, four workers', () => {
  let server;
  before(async () => {
    const soon = ['first_listener_grace', 'reconnect_grace', 'linger'].flatMap((key) => ['--set', `${key}=${3 * SLOW}s`]);
    server = await startSecureServer(makeCertificates('alpha'), ['alpha'], ...TRUSTED, '--workers', '4', ...soon);
  });
  after(() => server?.stop());
  afterEach(() => ledgerAtZero(server));

  test('a stream can be opened from anywhere', async () => {
    await times(24, async (i) => {
      const { dialogueId } = await ask(server, `How do I do a plank? (${i})`);
      const stream = await listen(server, dialogueId);
      assert.equal(stream.status, 200);
      assert.equal(await within(40_000, stream.ended, 'the turn'), 0);
      assertConsecutive(logged(stream.events), 1, 1);
      assert.equal(lastStatus(stream.events), 'completed');
      assert.equal((await call(server, 'GET', streamPath(dialogueId))).status, 204);
    });
    await nothingIsLeft(server);
  });

  test('a stream that was cut, or reset, goes on after its last event', async () => {
    await times(16, async (i) => {
      const { dialogueId } = await ask(server, `And a squat? (again ${i})`);
      const first = await listen(server, dialogueId);
      await first.wait(() => named(first.events, 'audioChunk').length > 0, 'some speech');
      if (i % 2) first.cut();
      else first.reset();
      const had = logged(first.events);
      const rest = await listen(server, dialogueId, { lastEventId: had.at(-1).id });
      if (rest.status === 204) return;
      await within(30_000, rest.ended, 'the rest of the turn');
      assert.equal(named(rest.events, 'gap').length, 0);
      assertConsecutive([...had, ...logged(rest.events)], 1, 1);
    });
    await nothingIsLeft(server);
  });

  test('whoever follows hears every turn, wherever it is asked', async () => {
    await times(8, async (i) => {
      const { dialogueId } = await ask(server, `Tell me about the lunge. (followed ${i})`);
      const stream = await listen(server, dialogueId, { more: '&follow=1' });
      for (let turn = 1; turn <= 5; ++turn) {
        await stream.wait(() => named(stream.events, 'complete').length >= turn, `turn ${turn}'s end`);
        if (turn < 5) await ask(server, { text: `And push ups? (${i}, ${turn})`, dialogueId });
      }
      assert.deepEqual(named(stream.events, 'done').map(({ data }) => data.turn), [1, 2, 3, 4, 5]);
      stream.cut();
      assert.equal((await call(server, 'DELETE', `/api/voice/dialogues/${dialogueId}`)).status, 204);
    });
    await nothingIsLeft(server);
  });

  /** The end of a stream that is opened now, however it comes. */
  function opened(client, id, more = '') {
    const stream = client.request({ ':path': streamPath(id, more) });
    return new Promise((resolve) => {
      let status;
      stream.on('error', () => {}).on('response', (head) => (status = head[':status'])).on('close', () => resolve(status ?? 'reset')).resume();
    });
  }

  test('a stream that is opened while its dialogue ends, or beyond its places, is answered or reset', async () => {
    await times(60, async (i) => {
      const { dialogueId } = await ask(server, `What about the bridge? (deleted ${i})`), client = session(server);
      const ends = Array.from({ length: i % 6 === 0 ? 12 : 2 }, (_, j) => opened(client, dialogueId, j % 2 ? '' : '&follow=1'));
      await new Promise((resolve) => setTimeout(resolve, i % 20)); // each at another moment, wherever that meets the streams
      assert.equal((await call(server, 'DELETE', `/api/voice/dialogues/${dialogueId}`)).status, 204);
      for (const how of await within(20_000, Promise.all(ends), 'the end of its streams'))
        assert.ok([200, 204, 404, 429, 'reset'].includes(how), `${how}`);
      client.close();
    });
    await nothingIsLeft(server);
  });

  test('a client that leaves is noticed though its stream is answered elsewhere', async () => {
    const streams = await times(12, async (i) => {
      const { dialogueId } = await ask(server, `What about push ups? (left ${i})`);
      return listen(server, dialogueId, { more: '&follow=1' });
    });
    streams.forEach((stream, i) => (i % 2 ? stream.cut() : stream.reset()));
    await nothingIsLeft(server);
  });
});
