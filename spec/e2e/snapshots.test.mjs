// The memory report while four workers are busy: each worker's snapshot is there, they are at most 100 ms apart, and the reply says how
// old each is. What they say together adds up, and at the end the ledger is at zero.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

import { ask, call, readTurn } from './support/client.mjs';
import { BIN, SLOW, ledgerAtZero, startServer } from './support/server.mjs';

const WORKERS = 4;
const REPORTS = 60;
const ASKERS = 12;

let server;
before(async () => {
  const soon = ['first_listener_grace', 'reconnect_grace', 'linger'].flatMap((key) => ['--set', `${key}=${SLOW}s`]);
  server = await startServer('--workers', String(WORKERS), ...soon);
});
after(() => server?.stop());
afterEach(() => ledgerAtZero(server));

/** Asks and hears, again and again, until `over`. How many answers were heard. */
async function converse(state, who) {
  let heard = 0;
  for (; !state.over; ++heard) {
    const { dialogueId } = await ask(server, `How do I do a plank? Asked by ${who}, number ${heard}.`);
    await readTurn(server, dialogueId);
  }
  return heard;
}

async function report(from = '/api/health/memory') {
  const { status, json } = await call(server, 'GET', from);
  assert.equal(status, 200);
  return json;
}

/** Milliseconds between the oldest and the newest snapshot. */
function apart({ snapshot }) {
  assert.deepEqual(snapshot.map(({ worker }) => worker), Array.from({ length: WORKERS }, (_, i) => i));
  for (const { ageMs, busy } of snapshot) assert.ok(busy || Number.isInteger(ageMs), JSON.stringify(snapshot));
  const ages = snapshot.map(({ ageMs }) => ageMs);
  return Math.max(...ages) - Math.min(...ages);
}

test('under load, the snapshots of four workers are at most 100 ms apart, and their age is told', async (t) => {
  const state = { over: false };
  const load = Array.from({ length: ASKERS }, (_, who) => converse(state, who));
  const seen = [];
  try {
    for (let i = 0; i < REPORTS; ++i) {
      const said = await report(i % 2 === 0 ? '/api/health/memory' : '/api/health/memory/analyze');
      seen.push({ apart: apart(said), oldest: Math.max(...said.snapshot.map(({ ageMs }) => ageMs)) });
      if (said.dialogues) seen.at(-1).live = said.dialogues.live;
      await pause(20);
    }
  } finally {
    state.over = true;
  }
  const heard = (await Promise.all(load)).reduce((sum, n) => sum + n, 0);
  const furthest = Math.max(...seen.map((one) => one.apart));
  t.diagnostic(`${heard} answers meanwhile; ${REPORTS} reports, furthest apart ${furthest} ms, oldest ${Math.max(...seen.map((one) => one.oldest))} ms`);
  assert.ok(heard >= ASKERS && seen.some(({ live }) => live > 0), 'there was a load');
  assert.ok(furthest <= 100 * SLOW, JSON.stringify(seen));
  assert.ok(seen.every(({ oldest }) => oldest <= 600 * SLOW), JSON.stringify(seen));
});

test('and with nothing going on it is exact', async () => {
  const until = Date.now() + 15_000 * SLOW;
  for (;;) {
    const { ledger } = await report();
    const left = ['dialogue', 'turn', 'request', 'listener', 'transfer'].filter((kind) => ledger.byKind[kind].bytes + ledger.byKind[kind].count > 0);
    if (left.length === 0 && ledger.inFlight === 0) break;
    assert.ok(Date.now() < until, `left: ${left}`);
    await pause(50);
  }
  const held = ({ ledger }) => Object.entries(ledger.byKind).map(([kind, { bytes, count }]) => [kind, bytes, count]);
  const [first, second] = [await report(), await report()];
  assert.deepEqual(held(first), held(second));
  assert.ok(apart(second) <= 100 * SLOW);
});

test('a worker that comes late, but in time, makes all of them look again', async () => {
  const app = mkdtempSync(path.join(tmpdir(), 'fitnessally-late-'));
  writeFileSync(path.join(app, 'app.lua'), `
    app:get("/busy", function(req)
      local till = fitnessally.now() + 300
      while fitnessally.now() < till do end
      req:reply{text = "free again"}
    end)`);
  const late = await startServer('--workers', '2', '--set', 'script_slice=1min', '--set', `app=${app}`); // nobody stops it
  const look = promisify(execFile);
  let waited = 0;
  try {
    for (let i = 0; i < 10; ++i) {
      const busy = call(late, 'GET', '/busy');
      await pause(20);
      const began = performance.now();
      const { stdout } = await look(BIN, ['memory', '--pid', String(late.pid), '--json']);
      waited += performance.now() - began > 150 ? 1 : 0;
      const { snapshot } = JSON.parse(stdout);
      if (!snapshot.some((one) => one.busy)) {
        const ages = snapshot.map(({ ageMs }) => ageMs);
        assert.ok(Math.max(...ages) - Math.min(...ages) <= 100 * SLOW, JSON.stringify(snapshot));
      }
      assert.equal((await busy).status, 200);
    }
  } finally {
    await late.stop();
    rmSync(app, { recursive: true, force: true });
  }
  assert.ok(waited > 0, 'a report had to wait for the busy one');
});
