// 100,000 dialogues with the coach, one after the other on each of many connections: at the end the ledger is at zero, and the
// line of the server's memory is level.

import { setTimeout as pause } from 'node:timers/promises';

import { ask, readTurn } from '../e2e/support/client.mjs';
import { isMain, readOptions } from '../bench/support/options.mjs';
import { crowd, question, spoken, startCoach } from '../bench/support/load.mjs';
import { MB, cpuSeconds, descriptors, descriptorsDownTo, memory, quiet, report } from '../bench/support/process.mjs';
import { slope } from '../bench/support/statistics.mjs';

const USAGE = `usage: node spec/soak/dialogues.mjs [--dialogues 100000] [--concurrency 64] [--warmup 0.2] [--workers 1] [--json]
                                    [--samples FILE] [--set KEY=VALUE]...
  --warmup SHARE   of the dialogues, before the line of memory is looked at
  --samples FILE   every sample goes there: seconds, dialogues, RSS, anonymous, the ledger's bytes
FA_BIN: the program; FA_PRELOAD: another allocator for it.`;

// Defaults of the configuration, and what the log keeps with each event.
const LOOKAHEAD = 2;
const REPLAY_WINDOW = 640 * 1024;
const EVENT = 1024;

/**
 * What one dialogue holds, on a server that has had no other: `ahead` while nobody listens (what is made in advance), `replay` when
 * it was heard (what is kept for a listener that comes back), `making` the most that its turn had in its hands (one chunk, not
 * yet in the log), `most` all of it at once. `allowed` is the sum of what the configuration lets each of them be.
 */
async function oneDialogue(server) {
  const kinds = async () => (await report(server)).ledger.byKind;
  const { dialogueId } = await ask(server, question());
  const until = Date.now() + 2000;
  let [ahead, last] = [0, -1];
  while (ahead !== last && Date.now() < until) {
    await pause(200);
    [last, ahead] = [ahead, (await kinds()).dialogue.bytes];
  }
  const { events } = await readTurn(server, dialogueId);
  const chunk = Math.max(...events.map(({ data }) => data.audio?.length ?? 0)) + EVENT;
  const { dialogue, turn } = await kinds();
  const allowed = LOOKAHEAD * chunk + REPLAY_WINDOW + turn.peakBytes;
  return { ahead, replay: dialogue.bytes, making: turn.peakBytes, most: dialogue.peakBytes + turn.peakBytes, chunk, allowed };
}

async function watch(server, counters, samples) {
  const began = performance.now();
  let busy = false;
  const look = async () => {
    if (busy) return;
    busy = true;
    try {
      const { ledger } = await report(server);
      const { rss, anon } = memory(server.pid);
      const { bytes, count } = ledger.byKind.dialogue;
      samples.push({ at: (performance.now() - began) / 1000, done: counters.done, rss, anon, ours: ledger.ours, rest: rss - ledger.ours, live: count,
        held: (bytes + ledger.byKind.turn.bytes) / Math.max(1, count) });
    } catch (error) {
      counters.unanswered = error.message; // a report that is late under load is no failure of the soak
    }
    busy = false;
  };
  const timer = setInterval(look, 1000);
  return () => clearInterval(timer);
}

export async function run({ dialogues, concurrency, warmup, workers, set = [] }) {
  const server = await startCoach({ workers, set });
  const counters = { done: 0, bytes: 0, refused: 0 };
  const samples = [];
  try {
    const start = memory(server.pid);
    const parts = await oneDialogue(server);
    const [cpu, files, began] = [cpuSeconds(server.pid), descriptors(server.pid), performance.now()];
    const stop = await watch(server, counters, samples);
    await crowd(dialogues, concurrency, () => spoken(server, counters));
    stop();
    const seconds = (performance.now() - began) / 1000;
    const cpuMs = ((cpuSeconds(server.pid) - cpu) * 1000) / dialogues;
    const settled = await quiet(server, 30);
    const { ledger } = await report(server);
    const warm = samples.filter(({ done }) => done >= dialogues * warmup);
    const line = (figure) => slope(warm.map((sample) => [sample.at / 3600, sample[figure] / MB]));
    return {
      dialogues, seconds, perSecond: dialogues / seconds, mbPerSecond: counters.bytes / MB / seconds, cpuMs, refused: counters.refused,
      settled, start: start.rss, end: memory(server.pid).rss, highest: memory(server.pid).peak,
      rss: line('rss'), anon: line('anon'), rest: line('rest'), ours: line('ours'), samples, warm: warm.length,
      heldMost: Math.max(0, ...samples.map(({ held }) => held)), liveMost: Math.max(0, ...samples.map(({ live }) => live)),
      dialoguePeak: ledger.byKind.dialogue.peakBytes, filesBefore: files, filesAfter: await descriptorsDownTo(files, server.pid, 5),
      parts, allocator: ledger.allocator?.name, unanswered: counters.unanswered,
    };
  } finally {
    await server.stop();
  }
}

const round = (value, digits = 1) => value.toFixed(digits);
const kb = (bytes) => `${round(bytes / 1024)} KB`;
const mb = (bytes) => round(bytes / MB);

function print(f) {
  const level = (name, { slope: rise, margin }) => `${name} ${rise >= 0 ? '+' : ''}${round(rise)} ± ${round(margin)} MB/hour`;
  console.log(`${f.dialogues} dialogues in ${round(f.seconds)} s: ${round(f.perSecond)}/s, ${round(f.mbPerSecond)} MB/s, ` +
    `${round(f.cpuMs, 2)} ms of the server's processor time each, ${f.refused} times refused; ${f.allocator}`);
  console.log(`RSS: start ${mb(f.start)}, highest ${mb(f.highest)}, end ${mb(f.end)} MB; ` +
    `descriptors before ${f.filesBefore}, after ${f.filesAfter}; ledger at zero ${round(f.settled)} s after the last`);
  console.log(`after the warm-up (${f.warm} samples, 95 %): ${level('RSS', f.rss)}, ${level('RSS less ledger', f.rest)}, ${level('ledger', f.ours)}`);
  const { ahead, replay, making, most, chunk, allowed } = f.parts;
  console.log(`one dialogue: ahead ${kb(ahead)}, replay ${kb(replay)}, in the making ${kb(making)}; at most ${kb(most)} at once, ` +
    `allowed ${kb(allowed)}; one chunk is ${kb(chunk)} in the log`);
  console.log(`under load: ${kb(f.heldMost)} a dialogue (the mean of those alive, highest of all samples), up to ${f.liveMost} alive, ` +
    `all together ${mb(f.dialoguePeak)} MB at most`);
}

async function main() {
  const options = readOptions({ dialogues: 100000, concurrency: 64, warmup: 0.2, workers: 1, samples: '', json: false }, USAGE);
  const figures = await run(options);
  if (options.samples) {
    const { writeFileSync } = await import('node:fs');
    writeFileSync(options.samples, figures.samples.map(({ at, done, rss, anon, ours }) => `${[round(at), done, rss, anon, ours].join('\t')}\n`).join(''));
  }
  const { samples, ...rest } = figures;
  if (options.json) console.log(JSON.stringify(rest));
  else print(figures);
  const level = Math.abs(figures.rss.slope) <= figures.rss.margin || figures.rss.slope < 0;
  const { most, allowed } = figures.parts;
  if (most > allowed) console.error(`MISSED: one dialogue held ${kb(most)}, more than look-ahead, replay window and one chunk`);
  console.error(`${level ? 'ok: level' : 'MISSED: it rises'}${figures.unanswered ? `; a report was late (${figures.unanswered})` : ''}`);
  process.exit(level && most <= allowed ? 0 : 1);
}

if (isMain(import.meta)) await main();
