// 2,000 dialogues at once, twice: after the second burst the server must be as large as after the first, within 10 s.

import { setTimeout as pause } from 'node:timers/promises';

import { isMain, readOptions } from './support/options.mjs';
import { crowd, spoken, startCoach } from './support/load.mjs';
import { MB, cpuSeconds, memory, quiet, report, sampler } from './support/process.mjs';

const USAGE = `usage: node spec/bench/burst.mjs [--dialogues 2000] [--workers 1] [--within 8] [--after 10] [--json] [--set KEY=VALUE]...
  --within MB    how far from the warm start the server may be at the end
  --after S      how long it has for that
FA_BIN: the program; FA_PRELOAD: another allocator for it, a path for LD_PRELOAD.`;

const mb = (bytes) => Math.round((bytes / MB) * 10) / 10;

async function burst(server, dialogues) {
  const counters = { done: 0, bytes: 0, refused: 0 };
  const cpu = cpuSeconds(server.pid);
  const began = performance.now();
  const watch = sampler(20, () => memory(server.pid));
  await crowd(dialogues, dialogues, () => spoken(server, counters));
  watch.stop();
  const seconds = (performance.now() - began) / 1000;
  return {
    ...counters,
    seconds,
    cpuMs: ((cpuSeconds(server.pid) - cpu) * 1000) / dialogues,
    peak: Math.max(...watch.samples.map(({ rss }) => rss)),
    peakAnon: Math.max(...watch.samples.map(({ anon }) => anon)),
  };
}

/** `seconds` + 1 samples, one a second. */
async function everySecond(server, seconds) {
  const samples = [memory(server.pid)];
  for (let i = 0; i < seconds; i++) {
    await pause(1000);
    samples.push(memory(server.pid));
  }
  return samples;
}

export async function run({ dialogues, workers, after, set }) {
  const server = await startCoach({ workers, set });
  try {
    const start = memory(server.pid);
    await burst(server, dialogues);
    const warm = (await everySecond(server, after)).at(-1);
    const second = await burst(server, dialogues);
    const later = await everySecond(server, after);
    const end = later.at(-1);
    const back = later.findIndex(({ rss }) => rss <= warm.rss + 8 * MB);
    const settled = await quiet(server, 20);
    const { ledger } = await report(server);
    return {
      allocator: ledger.allocator?.name,
      start: mb(start.rss), warm: mb(warm.rss), warmAnon: mb(warm.anon),
      peak: mb(second.peak), peakAnon: mb(second.peakAnon), end: mb(end.rss), endAnon: mb(end.anon),
      over: mb(end.rss - warm.rss), backAfter: back < 0 ? null : back,
      after: later.map(({ rss }) => mb(rss)),
      seconds: second.seconds, perSecond: dialogues / second.seconds, cpuMs: second.cpuMs, refused: second.refused,
      ledgerZeroAfter: after + settled, residual: mb(ledger.residual), cached: mb(ledger.cachedAndMapped),
    };
  } finally {
    await server.stop();
  }
}

async function main() {
  const options = readOptions({ dialogues: 2000, workers: 1, within: 8, after: 10, json: false }, USAGE);
  const figures = await run(options);
  if (options.json) {
    console.log(JSON.stringify(figures));
  } else {
    console.log(`${options.dialogues} dialogues in ${figures.seconds.toFixed(1)} s (${figures.perSecond.toFixed(0)}/s, ` +
      `${figures.refused} times refused with 503), ${figures.cpuMs.toFixed(2)} ms of the server's processor time each`);
    console.log(`RSS in MB (anonymous): start ${figures.start}, warm ${figures.warm} (${figures.warmAnon}), ` +
      `peak ${figures.peak} (${figures.peakAnon}), +${options.after} s ${figures.end} (${figures.endAnon})`);
    console.log(`every second after: ${figures.after.join(' ')}`);
  }
  const good = figures.over <= options.within;
  console.error(`${good ? 'ok' : 'MISSED'}: ${figures.over} MB over the warm start after ${options.after} s (at most ${options.within})`);
  process.exit(good ? 0 : 1);
}

if (isMain(import.meta)) await main();
