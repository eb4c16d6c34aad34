// Everything that crosses workers, at random and at once: dialogues asked, followed, moved, interrupted, deleted and left by clients that
// never say goodbye, while the memory report is asked for. At the end the ledger is at zero. Meant for the TSan build above all:
//
//   FA_BIN=build-tsan/fitnessally FA_SLOW=4 TSAN_OPTIONS=halt_on_error=1:suppressions=spec/support/tsan.supp ./dev soak churn

import { setTimeout as pause } from 'node:timers/promises';

import { call, openStream, post } from '../e2e/support/client.mjs';
import { startCoach } from '../bench/support/load.mjs';
import { isMain, readOptions } from '../bench/support/options.mjs';
import { quiet } from '../bench/support/process.mjs';

const USAGE = 'usage: node spec/soak/churn.mjs [--seconds 30] [--clients 24] [--workers 4] [--set KEY=VALUE]...';

const chance = (share) => Math.random() < share;
const some = (list) => list[Math.floor(Math.random() * list.length)];

/** One step of one client on some dialogue, its own or another's. */
async function step(server, dialogues, streams, counts) {
  const count = (what) => (counts[what] = (counts[what] ?? 0) + 1);
  const id = some(dialogues);
  const act = Math.random();
  if (id === undefined || act < 0.3) {
    const again = id !== undefined && chance(0.6) ? { dialogueId: id } : {};
    const { status, json } = await post(server, '/api/voice/converse', { text: `How do I do the measured walk? ${Math.random()}`, ...again });
    count(`ask ${status}`);
    if (status === 200 && !again.dialogueId) dialogues.push(json.dialogueId);
    if (dialogues.length > 40) dialogues.shift();
  } else if (act < 0.65) {
    const stream = await openStream(server, id, chance(0.6) ? { more: '&follow=1' } : {});
    count(`listen ${stream.status}`);
    if (stream.status === 200) streams.push(stream);
  } else if (act < 0.85) {
    streams.splice(Math.floor(Math.random() * streams.length), 1).forEach((stream) => stream.cut());
    count('cut');
  } else if (act < 0.93) {
    const { status } = await post(server, `/api/voice/dialogues/${id}/interrupt`, {});
    count(`interrupt ${status}`);
  } else if (act < 0.97) {
    const { status } = await call(server, 'DELETE', `/api/voice/dialogues/${id}`);
    count(`delete ${status}`);
  } else {
    const { status } = await call(server, 'GET', '/api/health/memory/analyze');
    count(`report ${status}`);
  }
}

export async function run({ seconds, clients, workers, set }) {
  const graces = ['first_listener_grace=1s', 'reconnect_grace=500ms', 'linger=500ms', 'duplicate_window=0s'];
  const server = await startCoach({ workers, set: [...graces, ...set] });
  const dialogues = [];
  const counts = {};
  const until = Date.now() + seconds * 1000;
  try {
    await Promise.all(Array.from({ length: clients }, async () => {
      const streams = [];
      while (Date.now() < until) {
        await step(server, dialogues, streams, counts);
        if (chance(0.2)) await pause(Math.random() * 20);
      }
      for (const stream of streams) stream.cut();
    }));
    const zero = await quiet(server, 30);
    return { counts, zero };
  } finally {
    await server.stop();
  }
}

if (isMain(import.meta)) {
  const options = readOptions({ seconds: 30, clients: 24, workers: 4 }, USAGE);
  const { counts, zero } = await run(options);
  const all = Object.values(counts).reduce((sum, n) => sum + n, 0);
  console.log(`${all} steps in ${options.seconds} s on ${options.workers} workers: ` +
    Object.entries(counts).sort().map(([what, n]) => `${what}: ${n}`).join(', '));
  console.log(`ledger at zero ${zero.toFixed(1)} s after the last`);
}
