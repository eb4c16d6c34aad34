// A short form of spec/soak/reload.mjs: reloads under load with a few live dialogues, a third of the edits broken.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { run } from '../soak/reload.mjs';

test('reloads under load: no request fails, none is late, none is of two generations, and old ones go', async () => {
  const result = await run({ reloads: 12, rate: 400, connections: 8, dialogues: 6, turn: 150, workers: 4, pause: 50, set: [] });
  assert.deepEqual(result.problems, []);
  assert.equal(result.broken, 4);
  assert.ok(result.requests > 100 && result.turns > 6, JSON.stringify(result));
});
