// The long programs of spec/bench and spec/soak, in short: that they run, that every dialogue is whole, and that the ledger and the
// descriptors are back afterwards. What they say of memory needs more dialogues than this: docs/measuring.md.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';

import { run as burst } from '../bench/burst.mjs';
import { slope } from '../bench/support/statistics.mjs';
import { report } from '../bench/support/process.mjs';
import { startCoach } from '../bench/support/load.mjs';
import { run as soak } from '../soak/dialogues.mjs';
import { run as idle } from '../soak/idle_listeners.mjs';
import { REPO } from './support/server.mjs';

// What is kept for a reconnect must not be waited for here.
const SOON = ['linger=200ms'];
const SANITIZED = /asan|tsan/.test(process.env.FA_BIN ?? '');

test('version and memory report name the allocator, and its figures hold the ledger', async () => {
  const program = path.resolve(process.env.FA_BIN || path.join(REPO, 'build/fitnessally'));
  const version = JSON.parse(execFileSync(program, ['version', '--json']));
  assert.match(version.allocator, /^(jemalloc|mimalloc|glibc) \d/);
  const server = await startCoach();
  try {
    const { ledger } = await report(server);
    assert.equal(ledger.allocator.name, version.allocator);
    if (!SANITIZED) assert.ok(ledger.allocator.inUse >= ledger.ours && ledger.allocator.inUse < ledger.ours + 64e6, JSON.stringify(ledger));
  } finally {
    await server.stop();
  }
});

test('a burst is served, and its memory is given back', async () => {
  const figures = await burst({ dialogues: 200, workers: 1, after: 2, set: SOON });
  assert.ok(figures.peak > figures.start);
  if (!SANITIZED && /jemalloc/.test(figures.allocator)) assert.ok(figures.over < 16, `${figures.over} MB over the warm start`);
});

test('dialogues in a row end with the ledger at zero', async () => {
  const figures = await soak({ dialogues: 400, concurrency: 32, warmup: 0.2, workers: 1, set: SOON });
  assert.ok(figures.filesAfter <= figures.filesBefore, `${figures.filesBefore} descriptors became ${figures.filesAfter}`);
  assert.ok(figures.parts.most <= figures.parts.allowed, JSON.stringify(figures.parts));
});

test('idle listeners are noticed when they are cut, and released', async () => {
  for (const { way, kinds, filesLeft } of await idle({ listeners: 200, workers: 1, rest: 300, set: [] })) {
    assert.ok(filesLeft <= 0, `${way}: ${filesLeft} descriptors left`);
    assert.ok(kinds.listener > 0 && kinds.listener < 2048, `${way}: ${JSON.stringify(kinds)}`);
  }
});

test('the slope of a line, and how sure it is', () => {
  const noise = (i) => Math.sin(i * 12.9898) * 3;
  const rising = slope(Array.from({ length: 400 }, (_, i) => [i, 2 * i + noise(i)]));
  assert.ok(Math.abs(rising.slope - 2) < 0.05 && rising.margin < 0.05, JSON.stringify(rising));
  const level = slope(Array.from({ length: 400 }, (_, i) => [i, 100 + noise(i)]));
  assert.ok(Math.abs(level.slope) <= level.margin * 1.5, JSON.stringify(level));
  assert.equal(slope([[0, 1], [1, 2]]).margin, Infinity);
});
