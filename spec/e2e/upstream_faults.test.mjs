// What services do wrong, over real sockets: how much memory it costs, how often they are asked, what is said, and that nothing is left.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { SLOW, within } from './support/server.mjs';
import { get, startApp, startService, until } from './support/upstreams.mjs';

const MB = 1024 * 1024;
const GIGABYTE = SLOW > 1 ? 200 * MB : 1024 * MB; // a sanitizer is not asked to wait for all of it
const BUFFERS = 24 * MB; // of Node and of the kernel, both ends
let service, server;
const counted = { requests: 0, bytes: 0, now: 0, most: 0 };

async function pour(answer, total, declared) {
  const chunk = Buffer.alloc(64 * 1024, 'p');
  answer.setMaxListeners(0).writeHead(200, { 'Content-Type': 'application/octet-stream', ...(declared && { 'Content-Length': total }) });
  for (let left = total; left > 0 && !answer.destroyed; left -= chunk.length) {
    counted.bytes += chunk.length;
    if (!answer.write(chunk)) await Promise.race([once(answer, 'drain'), once(answer, 'close')]);
  }
  answer.end();
}

/** The text in two pieces, cut before byte `at`; or, with -1, byte by byte. */
async function inPieces(answer, type, text, at) {
  const bytes = Buffer.from(text);
  answer.socket.setNoDelay(true);
  answer.writeHead(200, { 'Content-Type': type, Connection: 'close' });
  const pieces = at >= 0 ? [bytes.subarray(0, at), bytes.subarray(at)] : [...bytes].map((byte) => Buffer.from([byte]));
  for (const piece of pieces) {
    if (piece.length > 0) answer.write(piece);
    await pause(at >= 0 ? 1 : 0);
  }
  answer.end();
}

const SSE = '\uFEFFdata: grün\r\ndata: 😀 €\r\n\r\n: a comment\nevent: x\nid: 7\ndata: {"word":"żółć"}\n\ndata:last\r\r';
const SSE_HEARD = 'grün\n😀 €\n{"word":"żółć"}\nlast\nend';
const LINES = '{"word":"grün"}\n{"word":"😀 \\u20ac"}\r\n\n{"word":"żółć"}';
const LINES_HEARD = 'grün\n😀 €\nżółć\nend';

const paths = {
  giga: (answer) => pour(answer, GIGABYTE, false),
  declared: (answer) => pour(answer, GIGABYTE, true),
  json: (answer) => answer.end('['.concat('1,'.repeat(70_000_000), '1]')),
  sse: (answer, at) => inPieces(answer, 'text/event-stream', SSE, Number(at)),
  lines: (answer, at) => inPieces(answer, 'application/x-ndjson', LINES, Number(at)),
  loop: (answer, n) => answer.writeHead(302, { Location: `/loop/${Number(n) + 1}` }).end(),
  missing: (answer) => answer.writeHead(404).end('no such thing'),
  poison: (answer) => answer.writeHead(500).end('it makes me ill'),
  later: (answer, seconds) => answer.writeHead(429, { 'Retry-After': seconds }).end('not now'),
  soon: (answer) => (counted.requests === 1 ? paths.later(answer, '1') : answer.end('now')),
  slow: async (answer) => {
    counted.most = Math.max(counted.most, ++counted.now);
    await pause(20);
    counted.now--;
    answer.end('done');
  },
  fine: (answer) => answer.end('fine'),
};

before(async () => {
  service = await startService((request, answer) => {
    counted.requests++;
    const [, name, argument] = request.url.split('/');
    return paths[name](answer, argument);
  });
  const settings = ['concurrency=50', 'queue=2000', 'queue_wait=60s', 'retry_base=1ms', 'redirects=5', 'breaker_failures=5'];
  server = await startApp(service, '--workers', '2', '--set', 'max_connections=4000', '--set', 'request_budget=32MB', ...settings.flatMap((one) => ['--set', `upstreams.it.${one}`]));
  await get(server, '/get?path=/fine');
});
after(async () => {
  await server?.stop();
  await service?.close();
});

async function report() {
  return JSON.parse((await get(server, '/memory')).text);
}

afterEach(async () => {
  const left = async () => {
    const { ledger } = await report();
    return ledger.byKind.transfer.count === 0 && ledger.byKind.transfer.bytes === 0;
  };
  await until(5000, left, 'the ledger to be at zero');
});

/** What `act` gives, how often the service was asked meanwhile, and by how much RSS has grown at the most. */
async function watched(act) {
  const before = (await report()).memory.rss.bytes;
  let most = before, over = false;
  Object.assign(counted, { requests: 0, bytes: 0, most: 0 });
  const watching = (async () => {
    while (!over) {
      await pause(50);
      most = Math.max(most, (await report()).memory.rss.bytes);
    }
  })();
  const result = await act();
  over = true;
  await watching;
  return { result, requests: counted.requests, bytes: counted.bytes, growth: most - before };
}

/** A sanitizer keeps what was freed, so RSS says nothing there. */
function assertGrowth(growth, bound) {
  if (SLOW === 1) assert.ok(growth < bound, `${growth} bytes more`);
}

for (const name of ['giga', 'declared']) {
  test(`a body of 1 GB is refused at the cap (${name})`, async () => {
    const { result, requests, bytes, growth } = await watched(() => get(server, `/get?path=/${name}`));
    const { kind, retryable, attempts } = JSON.parse(result.text);
    assert.deepEqual([result.status, kind, retryable, attempts, requests], [502, 'too_large', false, 1, 1]);
    assert.ok(bytes < 8 * MB + BUFFERS, `${bytes} bytes were sent`);
    assertGrowth(growth, 24 * MB);
    assert.ok((await report()).ledger.byKind.transfer.peakBytes < 20 * MB);
  });
}

test('or at the budget of the request that asks, when that is less', async () => {
  const frugal = await startApp(service, '--workers', '1', '--set', 'request_budget=2MB');
  const { kind, message, attempts } = JSON.parse((await get(frugal, '/get?path=/giga')).text);
  assert.deepEqual([kind, attempts], ['memory', 1]);
  assert.match(message, /no room in the budget/);
  await frugal.stop();
});

test('a body of 1 GB goes to a client in little memory', async () => {
  const { result, growth } = await watched(() => within(100_000, new Promise((resolve, reject) => {
    let bytes = 0;
    http.get(`${server.url}/pipe?path=/declared`, (answer) => {
      answer.on('data', (part) => (bytes += part.length)).on('end', () => resolve(bytes)).on('error', reject);
    }).on('error', reject);
  }), '1 GB'));
  assert.equal(result, GIGABYTE);
  assertGrowth(growth, 16 * MB);
});

test('137 MB of JSON are refused', async () => {
  const { result, requests, growth } = await watched(() => get(server, '/get?path=/json'));
  assert.deepEqual([JSON.parse(result.text).kind, requests], ['too_large', 1]);
  assertGrowth(growth, 24 * MB);
});

for (const [name, text, heard, more] of [['sse', SSE, SSE_HEARD, ''], ['lines', LINES, LINES_HEARD, '&format=ndjson&json=1']]) {
  test(`${name} cut at every byte, and byte by byte`, async () => {
    const cuts = [-1, ...Array.from({ length: Buffer.byteLength(text) + 1 }, (_, at) => at)];
    const next = async () => {
      for (let at; (at = cuts.pop()) !== undefined;) {
        const { text: got } = await get(server, `/words?path=/${name}/${at}${more}`);
        assert.equal(got, heard, `cut before byte ${at}`);
      }
    };
    await Promise.all([next(), next(), next(), next()]);
  });
}

test('1,000 at once over 50 places', async () => {
  const agent = new http.Agent({ maxSockets: 1000 });
  const { result, requests, growth } = await watched(() => Promise.all(Array.from({ length: 1000 }, () => get(server, '/get?path=/slow', agent))));
  assert.deepEqual(result.filter(({ text }) => text !== 'done'), []);
  assert.equal(requests, 1000);
  assert.ok(counted.most <= 50 && counted.most > 30, `${counted.most} at once`);
  assertGrowth(growth, 48 * MB);
});

test('redirects that go on and on', async () => {
  const { result, requests } = await watched(() => get(server, '/get?path=/loop/0'));
  assert.equal(JSON.parse(result.text).kind, 'redirect');
  assert.equal(requests, 6);
});

test('a storm of 404: each is asked once, and the service is well', async () => {
  const connections = service.connections();
  const { result, requests } = await watched(() => Promise.all(Array.from({ length: 300 }, () => get(server, '/get?path=/missing'))));
  assert.ok(result.every(({ status, text }) => status === 404 && text === 'no such thing'));
  assert.equal(requests, 300);
  // Two workers, and each may have all the 50 places for a moment.
  assert.ok(service.connections() - connections <= 150, `${service.connections() - connections} connections`);
});

test('a request that makes the service ill is not sent again, and stops no other', async () => {
  for (let i = 0; i < 10; ++i) {
    const { result, requests } = await watched(() => get(server, '/get?path=/poison&expect=2xx'));
    const { kind, status, excerpt, retryable } = JSON.parse(result.text);
    assert.deepEqual([kind, status, excerpt, retryable, requests], ['status', 500, 'it makes me ill', false, 1]);
  }
  assert.equal((await get(server, '/get?path=/fine')).text, 'fine');
});

test('a Retry-After is waited for when it is short', async () => {
  const began = performance.now();
  const { result, requests } = await watched(() => get(server, '/get?path=/soon'));
  assert.deepEqual([result.text, requests], ['now', 2]);
  assert.ok(performance.now() - began >= 995);
});

test('and told when it is long', async () => {
  const began = performance.now();
  const { result, requests } = await watched(() => get(server, '/get?path=/later/3600&expect=2xx'));
  const { kind, status, retryable, retry_after: after } = JSON.parse(result.text);
  assert.deepEqual([kind, status, retryable, after, requests], ['status', 429, true, 3600, 1]);
  assert.ok(performance.now() - began < 900 * SLOW);
});

/** A service that answers the first request of a connection and closes it at the second, without a word; or, `idle`, before it. */
async function closing(idle) {
  const seen = [];
  const closes = net.createServer((socket) => {
    let count = 0;
    socket.on('error', () => {}).on('data', (bytes) => {
      seen.push(bytes.toString().split(' ', 1)[0]);
      if (++count > 1) return socket.destroy();
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      if (idle) setTimeout(() => socket.end(), 5);
      return undefined;
    });
  });
  await new Promise((resolve) => closes.listen(0, '127.0.0.1', resolve));
  const settings = ['retries=0', `url=http://127.0.0.1:${closes.address().port}`].map((one) => `upstreams.it.${one}`);
  const app = await startApp(service, '--workers', '1', ...settings.flatMap((one) => ['--set', one]));
  const stop = async () => {
    await app.stop();
    closes.close();
  };
  return { app, seen, stop };
}

test('a kept connection that closes at the request: what may be sent twice is, what may not is not', async () => {
  const { app, seen, stop } = await closing(false);
  assert.equal((await get(app, '/get')).text, 'ok');
  assert.equal((await get(app, '/get')).text, 'ok');
  assert.deepEqual(seen, ['GET', 'GET', 'GET']);
  const { kind, attempts } = JSON.parse((await get(app, '/post')).text);
  assert.deepEqual([kind, attempts], ['cut', 1]);
  assert.deepEqual(seen.slice(3), ['POST']);
  assert.equal((await get(app, '/post')).text, 'ok');
  await stop();
});

test('one that has closed while nothing was asked costs nobody anything', async () => {
  const { app, seen, stop } = await closing(true);
  for (let i = 0; i < 10; ++i) {
    assert.equal((await get(app, '/post')).text, 'ok');
    await pause(40);
  }
  assert.equal(seen.length, 10);
  await stop();
});
