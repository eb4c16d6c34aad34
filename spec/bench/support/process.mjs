// What the kernel and the server itself say about the server's memory.

import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

import { call } from '../../e2e/support/client.mjs';

export const MB = 1024 * 1024;

/** Bytes: `rss` all that is resident, `anon` the part that no file backs (heap, stacks), `peak` the most there ever was. */
export function memory(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)[1]) * 1024;
  return { rss: field('VmRSS'), anon: field('RssAnon'), peak: field('VmHWM') };
}

/** Seconds of processor time that it has used. */
export function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100; // USER_HZ
}

/** The same, split: in the kernel's code and altogether. */
export function cpuSplit(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ');
  return { kernel: Number(fields[12]) / 100, all: (Number(fields[11]) + Number(fields[12])) / 100 };
}

/** The same to the nanosecond, but without threads that have ended. */
export function cpuSecondsOfThreads(pid) {
  const tasks = readdirSync(`/proc/${pid}/task`);
  return tasks.reduce((sum, task) => sum + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]), 0) / 1e9;
}

export const descriptors = (pid) => readdirSync(`/proc/${pid}/fd`).length;

/** The same once it is down to `enough`, or after `seconds`: a connection that its client has left may close a moment later. */
export async function descriptorsDownTo(enough, pid, seconds) {
  for (const end = Date.now() + seconds * 1000; descriptors(pid) > enough && Date.now() < end;) await pause(20);
  return descriptors(pid);
}

export async function report(server) {
  const { status, json, text } = await call(server, 'GET', '/api/health/memory');
  if (status !== 200) throw new Error(`the memory report: ${status} ${text}`);
  return json;
}

const GONE = ['dialogue', 'turn', 'request', 'listener', 'transfer', 'job'];

/** What a server with nothing to do must not hold: [] when it holds none of it. */
export async function leftovers(server) {
  const { ledger, scripts } = await report(server);
  const kinds = GONE.filter((kind) => ledger.byKind[kind] && (ledger.byKind[kind].bytes || ledger.byKind[kind].count));
  const left = kinds.map((kind) => `${kind}: ${ledger.byKind[kind].count} of ${ledger.byKind[kind].bytes} bytes`);
  if (ledger.inFlight) left.push(`in flight: ${ledger.inFlight} bytes`);
  if (scripts.tasks) left.push(`tasks: ${scripts.tasks}`);
  return left;
}

/** Waits for the ledger to be at zero; throws with what is left after `seconds`. Gives the seconds it took. */
export async function quiet(server, seconds) {
  const began = Date.now();
  for (;;) {
    const left = await leftovers(server);
    if (!left.length) return (Date.now() - began) / 1000;
    if (Date.now() - began > seconds * 1000) throw new Error(`after ${seconds} s the server still holds\n  ${left.join('\n  ')}`);
    await pause(100);
  }
}

/** Calls `look` every `ms` until `stop()`; its results are in `samples`. */
export function sampler(ms, look) {
  const samples = [look()];
  const timer = setInterval(() => samples.push(look()), ms);
  return { samples, stop: () => clearInterval(timer) };
}
