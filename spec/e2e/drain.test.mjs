// A server that is told to stop while streams of events begin. Most of those are on their way to another worker at that moment. A client
// gets all of its turn, or is told to come again, or is refused; what it never gets is an answer in good order with nothing in it.

import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { call } from './support/client.mjs';
import { startServer, within } from './support/server.mjs';
import { makeApp } from './support/succession.mjs';
import { connect, makeCertificates, startSecureServer } from './support/tls.mjs';

const ROUNDS = 6, STREAMS = 48;

const APP = `local function flow(turn) for i = 1, 4 do turn:push('words', { text = i }) fitnessally.sleep(50) end end
app:get('/ask', function(req) req:reply { text = voice.ask(req, { text = req.id, flow = flow, context = 0 }).dialogueId } end)
app:get('/listen/:id', function(req) voice.listen(req, req.params.id) end)
app:get('/follow/:id', function(req) voice.listen(req, req.params.id, { follow = true }) end)\n`;

const inTheClear = (server) => new Promise((resolve, reject) => {
  const socket = net.connect(server.port, '127.0.0.1', () => resolve(socket)).once('error', reject);
});

/** What a client makes of it. */
function listen(socket, path) {
  return new Promise((resolve) => {
    let text = '', broken = false;
    socket.setEncoding('utf8').on('data', (part) => (text += part)).on('error', () => (broken = true));
    socket.on('end', () => socket.end()).on('close', () => resolve({ text, broken }));
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  });
}

function outcome({ text, broken }) {
  const [, status, head, body] = /^HTTP\/1.1 (\d+)([^]*?)\r\n\r\n([^]*)$/.exec(text) ?? [];
  if (!status) return 'no answer';
  if (status !== '200') return `status ${status}`;
  if (/event: complete/.test(body)) return 'all';
  if (broken || (/chunked/i.test(head) && !body.endsWith('0\r\n\r\n'))) return 'cut';
  return /retry: \d+/.test(body) ? 'come again' : 'EMPTY';
}

/** Streams begin one after the other while it stops; the connections are there before. */
async function round(server, open, wait) {
  const times = (count, make) => Promise.all(Array.from({ length: count }, (_, i) => make(i)));
  const ids = await times(STREAMS / 2, async () => (await call(server, 'GET', '/ask')).text);
  const sockets = await times(STREAMS, () => open(server));
  const answers = [];
  let stopped;
  for (let i = 0; i < STREAMS; ++i) {
    if (i === wait) stopped = server.stop();
    answers.push(listen(sockets[i], `/${i % 3 ? 'listen' : 'follow'}/${ids[i % ids.length]}`));
    if (i % 4 === 0) await pause(1);
  }
  const all = await within(20_000, Promise.all(answers), 'the end of all streams');
  await stopped;
  return all;
}

const certificates = makeCertificates('alpha');
const startSecure = (...args) => startSecureServer(certificates, ['alpha'], ...args);
process.setMaxListeners(2 * ROUNDS + 20); // each server and each folder looks after its own end

for (const [how, start, open] of [['in the clear', startServer, inTheClear], ['under TLS', startSecure, connect]]) {
  test(`streams that begin while the server stops, ${how}`, async (t) => {
    const counts = {};
    let moved = 0;
    for (let i = 0; i < ROUNDS; ++i) {
      const server = await start('-c', makeApp(APP).configure(4), '--set', 'first_listener_grace=1min', '--set', 'duplicate_window=0s');
      for (const answer of await round(server, open, 6 * i)) {
        counts[outcome(answer)] = (counts[outcome(answer)] ?? 0) + 1;
        if (/^connection: upgrade/im.test(answer.text)) ++moved;
        assert.notEqual(outcome(answer), 'EMPTY', JSON.stringify(answer));
      }
    }
    t.diagnostic(`${JSON.stringify(counts)}, ${moved} moved`);
    assert.ok(counts.all > 0 && moved > 0);
  });
}
