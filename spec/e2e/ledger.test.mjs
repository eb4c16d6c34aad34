// Every byte goes home: two hundred dialogues at once, half of them cut in the middle of their answer, and when the
// graces are over the ledger stands where it stood after the same burst before.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { ask, call, logged, openStream, wavSamples } from './support/client.mjs';
import { REPO, SLOW, startServer, within } from './support/server.mjs';

const GONE = ['dialogue', 'turn', 'request', 'listener', 'transfer'];
const DIALOGUES = 200;
const NAMES = JSON.parse(readFileSync(path.join(REPO, 'examples/coach/data/exercises.json'))).map(({ name }) => name);

let server;
before(async () => {
  const soon = ['first_listener_grace', 'reconnect_grace', 'linger'].flatMap((key) => ['--set', `${key}=${3 * SLOW}s`]);
  server = await startServer(...soon);
});
after(() => server?.stop());

/** What every descriptor of the server is, in order: a leaked one is named, not counted. */
function descriptors() {
  const folder = `/proc/${server.pid}/fd`;
  const target = (fd) => {
    try {
      return readlinkSync(path.join(folder, fd)).replace(/\d+/g, 'N');
    } catch {
      return 'closed meanwhile';
    }
  };
  return readdirSync(folder).map(target).sort();
}

async function ledger() {
  const { status, json } = await call(server, 'GET', '/api/health/memory');
  assert.equal(status, 200);
  return json.ledger;
}

/** {kind: [bytes, count]} of all kinds, and what is in flight. */
function figures({ byKind, inFlight }) {
  const kinds = Object.entries(byKind).map(([kind, { bytes, count }]) => [kind, [bytes, count]]);
  return { ...Object.fromEntries(kinds.sort()), inFlight };
}

function isZero(now) {
  return GONE.every((kind) => !now[kind] || now[kind].every((n) => n === 0)) && JSON.stringify(now.inFlight).match(/[1-9]/) === null;
}

/** One dialogue: even ones are heard to the end, odd ones are cut after their first sentence; none takes leave. */
async function converse(round, i) {
  const name = NAMES[i % NAMES.length];
  const { dialogueId } = await ask(server, `How do I do the ${name}? Asked in round ${round} by number ${i}.`);
  const stream = await openStream(server, dialogueId);
  assert.equal(stream.status, 200);
  if (i % 2 === 1) {
    await stream.until(({ name: event }) => event === 'audioChunk' || event === 'complete', 'the first sentence', 120_000);
    stream.cut();
    return;
  }
  assert.ok(await within(120_000, stream.ended, 'the end of an answer'));
  const events = logged(stream.events);
  assert.equal(events.at(-1).data.status, 'completed');
  for (const event of events) if (event.name === 'audioChunk') assert.ok(wavSamples(event.data.audio) > 0);
}

async function burst(round) {
  const all = await Promise.allSettled(Array.from({ length: DIALOGUES }, (_, i) => converse(round, i)));
  const failed = all.filter(({ status }) => status === 'rejected').map(({ reason }) => reason.message);
  assert.deepEqual(failed, []);
}

/** Looks until `test` holds for the ledger and the descriptors, at most 15 s. */
async function settle(test, what) {
  const until = Date.now() + 15_000 * SLOW;
  for (;;) {
    const now = { ledger: figures(await ledger()), descriptors: descriptors() };
    if (test(now)) return now;
    assert.ok(Date.now() < until, `${what}: after 15 s the server holds ${JSON.stringify(now, null, 1)}\nits log ends:\n${server.log().slice(-2000)}`);
    await pause(100);
  }
}

test('200 dialogues at once, half of them cut, leave nothing behind', async () => {
  await burst('warm-up');
  const warm = await settle((now) => isZero(now.ledger), 'after the warm-up');
  await burst('real');
  await settle((now) => {
    const same = JSON.stringify(now.ledger) === JSON.stringify(warm.ledger);
    return isZero(now.ledger) && same && now.descriptors.length <= warm.descriptors.length;
  }, `against ${JSON.stringify(warm)}`);
});
