// libh2o aborts the process when an allocation of its own fails. So the budget must bite first: with an address limit only a little above
// what memory_budget allows, and far more asked for than that, the server refuses (503) and lives. The same load without a budget runs
// into the limit, which shows that the limit is one.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { ask, call, lastStatus, post, readTurn, streamPath } from './support/client.mjs';
import { REPO, SLOW, startServer } from './support/server.mjs';

const MB = 1024 * 1024;
const BUDGET = 48 * MB;
const BESIDE = 40 * MB; // for what is not of ours: h2o, the Lua heaps, what malloc loses between blocks
const DIALOGUES = 240; // each may hold 800 KB: four times the budget
const HALF_SENT = 60;

const skip = SLOW > 1 ? 'sanitizers take memory of their own' : false;

/** A server whose answer is always 8 chunks of 60 KB; nobody is waited for, so that answers lie where they are made. */
function start(budget) {
  const set = ['plugin_path=spec/support/plugins', 'plugins_enabled=tone,records', 'tts=tone', 'workers=2', 'log_level=warn',
    `data=${path.join(REPO, 'spec/support/measured')}`, `memory_budget=${budget}`, 'first_listener_grace=5s', 'reconnect_grace=1s',
    'linger=1s', 'max_dialogues=1000', 'slow_listener_wait=5s'];
  return startServer(...set.flatMap((setting) => ['--set', setting]));
}

const privateBytes = (pid) => Number(/VmData:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`))[1]) * 1024;

/** A client that takes nothing: what is sent to it stays with the server, but for what the kernel takes. */
function silent(server, head, body) {
  const socket = net.connect({ port: server.port, host: '127.0.0.1' });
  socket.on('error', () => {});
  socket.pause();
  socket.write(head);
  if (body) socket.write(body);
  return socket;
}

async function load(server) {
  const count = { taken: 0, refused: 0, lost: 0 };
  const sockets = [];
  const half = Buffer.alloc(200 * 1024, ' ');
  for (let i = 0; i < HALF_SENT; ++i) {
    sockets.push(silent(server, `POST /api/voice/converse HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${900 * 1024}\r\n\r\n`, half));
  }
  await Promise.all(Array.from({ length: DIALOGUES }, async (_, i) => {
    try {
      const { status, json, headers } = await post(server, '/api/voice/converse', { text: `How do I do the measured walk? ${i}` });
      if (status === 200) {
        count.taken++;
        sockets.push(silent(server, `GET ${streamPath(json.dialogueId)} HTTP/1.1\r\nHost: x\r\n\r\n`));
      } else {
        assert.equal(status, 503);
        assert.equal(json.error.code, 'over_budget');
        assert.ok(headers['retry-after']);
        count.refused++;
      }
    } catch (error) {
      if (error.code === 'ERR_ASSERTION') throw error;
      count.lost++;
    }
    await pause(5);
  }));
  await pause(1500);
  return { count, sockets };
}

const alive = (server) => call(server, 'GET', '/api/health').then(({ status }) => status === 200, () => false);

/** Under a limit of what it has now and `more`. */
async function squeeze(budget, more) {
  const server = await start(budget);
  const { dialogueId } = await ask(server, 'How do I do the measured walk?');
  await readTurn(server, dialogueId);
  execFileSync('prlimit', ['--pid', String(server.pid), `--data=${privateBytes(server.pid) + more}`]);
  const { count, sockets } = await load(server);
  return { server, count, sockets, lives: await alive(server) };
}

test('at the budget the server refuses before its library can run out of memory', { skip }, async (t) => {
  const { server, count, sockets, lives } = await squeeze(`${BUDGET / MB}MB`, BUDGET + BESIDE);
  try {
    const { ledger } = (await call(server, 'GET', '/api/health/memory')).json;
    t.diagnostic(`${count.taken} taken, ${count.refused} refused, ${count.lost} cut; ours ${(ledger.ours / MB).toFixed(1)} MB, ` +
      `residual ${(ledger.residual / MB).toFixed(1)} MB, step ${ledger.pressure.step}`);
    assert.ok(lives, server.log());
    assert.ok(count.refused > 0, 'the budget was reached');
    assert.ok(ledger.ours <= BUDGET);
    for (const socket of sockets) socket.destroy();
    const until = Date.now() + 20_000;
    for (;;) {
      const { byKind } = (await call(server, 'GET', '/api/health/memory')).json.ledger;
      if (['dialogue', 'turn', 'listener', 'request'].every((kind) => byKind[kind].bytes === 0)) break;
      assert.ok(Date.now() < until, JSON.stringify(byKind));
      await pause(100);
    }
    const { dialogueId } = await ask(server, 'How do I do the measured walk, when all is over?');
    assert.equal(lastStatus((await readTurn(server, dialogueId)).events), 'completed');
  } finally {
    for (const socket of sockets) socket.destroy();
    await server.stop(); // by itself, with status 0
  }
});

test('without a budget the same load runs into the limit', { skip }, async (t) => {
  const { server, count, sockets, lives } = await squeeze('64GB', BESIDE);
  for (const socket of sockets) socket.destroy();
  const ended = await server.stop().then(() => 'with status 0', (error) => error.message.split('\n')[0]);
  const words = server.log().split('\n').filter((line) => /no memory|PANIC/.test(line)).at(-1);
  t.diagnostic(`${count.taken} taken, ${count.refused} refused, ${count.lost} cut; it ended ${ended}: ${words}`);
  assert.ok(!lives, 'it should not have survived');
});
