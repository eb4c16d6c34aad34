// Upstreams over a server with several workers: recycling under load, clients that leave, answers that pour.

import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';

import { SLOW } from './support/server.mjs';
import { get, recycle, recycleUnderLoad, startApp, startService, until } from './support/upstreams.mjs';

let service, server;
const poured = { bytes: 0 };

function pour(answer) {
  const chunk = Buffer.alloc(64 * 1024, 'p');
  const more = () => {
    let room = true;
    while (room && !answer.destroyed) {
      room = answer.write(chunk);
      poured.bytes += chunk.length;
    }
  };
  answer.on('drain', more);
  more();
}

before(async () => {
  service = await startService((request, answer) => {
    if (request.url === '/pour') return pour(answer);
    if (request.url === '/words') {
      answer.setHeader('Content-Type', 'text/event-stream');
      for (const word of ['one', 'two', 'grün']) answer.write(`data: ${word}\n\n`);
      return answer.end();
    }
    if (request.url === '/hang') return answer.write('data: first\n\n');
    if (request.url.startsWith('/json')) return answer.end('['.concat('1,'.repeat(70_000_000), '1]'));
    answer.end(`${request.method} ${request.url}`);
  });
  server = await startApp(service, '--workers', '2');
});
after(async () => {
  await server?.stop();
  await service?.close();
});

async function report() {
  return JSON.parse((await get(server, '/memory')).text);
}

test('an answer as a whole, as a pipe, as events', async () => {
  assert.deepEqual(await get(server, '/get?path=/a%3Fb'), { status: 200, text: 'GET /a?b' });
  assert.deepEqual(await get(server, '/pipe?path=/c'), { status: 200, text: 'GET /c' });
  assert.deepEqual(await get(server, '/words?path=/words'), { status: 200, text: 'one\ntwo\ngrün\nend' });
});

test('a 137 MB answer is refused and costs no memory', async () => {
  const before = await report();
  const { status, text } = await get(server, '/get?path=/json');
  assert.equal(status, 502);
  assert.equal(JSON.parse(text).kind, 'too_large');
  const { ledger } = await report();
  assert.equal(ledger.byKind.transfer.bytes, 0);
  assert.ok(ledger.byKind.transfer.peakBytes < 20 * 1024 * 1024, String(ledger.byKind.transfer.peakBytes));
  assert.ok(before.ledger.attributedBy?.curl >= 0 || JSON.stringify(before).includes('curl'));
});

test('a client that does not read slows the service down, and one that leaves ends the transfer', async () => {
  const request = http.get(`${server.url}/pipe?path=/pour`);
  const answer = await new Promise((resolve) => request.once('response', resolve));
  answer.pause();
  let last = -1;
  await until(20_000, async () => {
    const settled = poured.bytes === last;
    last = poured.bytes;
    await new Promise((resolve) => setTimeout(resolve, 300));
    return settled;
  }, 'the pour to stop');
  const { ledger } = await report();
  assert.ok(ledger.byKind.transfer.bytes < 1024 * 1024, String(ledger.byKind.transfer.bytes));
  request.destroy();
  await until(5000, async () => (await report()).ledger.byKind.transfer.count === 0, 'the transfer to end');
});

test('a client that leaves in the midst of a stream: the service sees it', async () => {
  const before = service.sockets.size;
  const request = http.get(`${server.url}/words?path=/hang`);
  await new Promise((resolve) => request.once('response', (answer) => answer.once('data', resolve)));
  request.on('error', () => {});
  request.destroy();
  await until(5000, () => service.sockets.size <= before, 'the connection to close');
  await until(5000, async () => (await report()).ledger.byKind.transfer.count === 0, 'the transfer to end');
});

test('fitnessally recycle tells, and knows what there is', async () => {
  const told = await recycle(server, 'it');
  assert.equal(told.status, 0, told.err);
  assert.match(told.out, /^upstream it: a new pool on 2 of 2 workers\n$/);
  const unknown = await recycle(server, 'nothing');
  assert.equal(unknown.status, 1);
  assert.match(unknown.err, /there is no upstream "nothing"/);
  assert.equal((await recycle(server, 'A b')).status, 2);
});

test('recycling under load: no request fails, no connection is left', async () => {
  const tally = await recycleUnderLoad({ seconds: 5, rate: SLOW > 1 ? 50 : 300, every: 500, workers: 2 });
  console.log(`# ${JSON.stringify(tally)}`);
  assert.equal(tally.failed, 0, tally.firstFailure);
  assert.ok(tally.recycled >= 3);
  assert.ok(tally.asked > 100);
  assert.ok(tally.poolsClosed >= tally.recycled);
  assert.ok(tally.connectionsClosed > 0);
  assert.deepEqual([tally.transfers, tally.transferBytes], [0, 0]);
});
