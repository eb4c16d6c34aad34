// The coach with the tone plugin, and many dialogues with it.

import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { REPO, startServer } from '../../e2e/support/server.mjs';
import { converse } from './dialogue.mjs';

export const CHUNKS = 8; // that is how long the answer about the measured walk is

/** A server whose answer is always 8 chunks of 60 KB. options: {workers, set: ['key=value']}. */
export function startCoach({ workers = 1, set = [] } = {}) {
  if (!process.listenerCount('SIGTERM')) {
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1)); // which ends the server, too
  }
  const own = ['plugin_path=spec/support/plugins', 'plugins_enabled=tone,records', 'tts=tone', 'log_level=warn',
    `workers=${workers}`, `data=${path.join(REPO, 'spec/support/measured')}`];
  return startServer(...[...own, ...set].flatMap((setting) => ['--set', setting]));
}

let asked = 0;
export const question = () => `How do I do the measured walk? ${++asked}`; // equal questions would be one

/** One dialogue, asked again after the time that the server names, as often as it refuses. `counters.refused` counts that. */
export async function served(server, counters, options = {}) {
  for (;;) {
    const result = await converse(server, { text: question(), ...options });
    if (!result.refused) return result;
    counters.refused++;
    await pause(result.retryAfter * 1000 + Math.random() * 250);
  }
}

export async function spoken(server, counters) {
  const result = await served(server, counters);
  if (result.chunks !== CHUNKS) throw new Error(`an answer of ${result.chunks} chunks instead of ${CHUNKS}`);
  counters.done++;
  counters.bytes += result.bytes;
  return result;
}

/** `total` dialogues, `concurrency` at a time. */
export async function crowd(total, concurrency, one) {
  let next = 0;
  async function worker() {
    while (next < total) await one(next++);
  }
  await Promise.all(Array.from({ length: Math.min(total, concurrency) }, worker));
}
