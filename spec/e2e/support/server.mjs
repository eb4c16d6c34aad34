// Starts a server of its own for a test file, and holds it to a clean end: SIGTERM must lead to exit status 0.
//
//   FA_BIN   the binary (default: build/fitnessally)
//   FA_SLOW  multiplies every deadline, for sanitizers and valgrind (default 1)
//   FA_PRELOAD  a library that is loaded into the server first (LD_PRELOAD), not into Node: another allocator
//   FA_LOG   when set, the server's standard error is shown as it comes

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const REPO = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
export const SLOW = Number(process.env.FA_SLOW || 1);

export const BIN = path.resolve(process.env.FA_BIN || path.join(REPO, 'build/fitnessally'));

/** What `promise` gives, or an error that says what was waited for. `ms` is stretched by FA_SLOW. */
export function within(ms, promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms * SLOW} ms for ${what}`)), ms * SLOW);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** What the control socket of a server says: of `memory report`, for example. */
export async function askControl(pid, request) {
  const folders = [process.env.XDG_RUNTIME_DIR && path.join(process.env.XDG_RUNTIME_DIR, 'fitnessally'), `/tmp/fitnessally-${process.geteuid()}`];
  const socket = folders.map((folder) => folder && path.join(folder, `${pid}.sock`)).find((file) => file && existsSync(file));
  if (!socket) throw new Error(`no control socket of ${pid} in ${folders}`);
  const answer = new Promise((resolve, reject) => {
    let text = '';
    const client = net.connect(socket, () => client.write(`${request}\n`));
    client.setEncoding('utf8').on('data', (part) => (text += part)).on('error', reject).on('end', () => resolve(text));
  });
  const text = await within(10_000, answer, `an answer to ${request}`);
  if (text.startsWith('error: ')) throw new Error(text);
  return text;
}

const GONE = ['dialogue', 'request', 'turn', 'listener', 'transfer'];

/**
 * Waits until nothing that a test began is left: no dialogue, request, turn, listener or transfer, and nothing in flight.
 * (A dialogue that rests between two turns is no dialogue in this sense.) What does not go is named, with the script line that made it.
 */
export async function ledgerAtZero(server, ms = 15_000) {
  for (const end = Date.now() + ms * SLOW; ; await new Promise((resolve) => setTimeout(resolve, 20))) {
    const { ledger } = JSON.parse(await askControl(server.pid, 'memory report'));
    const left = GONE.filter((kind) => ledger.byKind[kind] && (ledger.byKind[kind].count !== 0 || ledger.byKind[kind].bytes !== 0));
    if (ledger.inFlight !== 0) left.push('in flight');
    if (left.length === 0) return;
    if (Date.now() < end) continue;
    const { byAge } = JSON.parse(await askControl(server.pid, 'memory analysis'));
    throw new Error(`left in the ledger: ${left.join(', ')}; ${JSON.stringify(byAge, null, 1)}`);
  }
}

/** Starts the server; `extra` are further arguments, for example '--set', 'linger=1s'. */
export async function startServer(...extra) {
  const stateDir = mkdtempSync(path.join(tmpdir(), 'fitnessally-e2e-'));
  const args = ['serve', '-c', path.join(REPO, 'fitnessally.conf.lua'), '--listen', '127.0.0.1:0'];
  args.push('--set', `state_dir=${stateDir}`, ...extra);
  const env = process.env.FA_PRELOAD ? { ...process.env, LD_PRELOAD: process.env.FA_PRELOAD } : process.env;
  const child = spawn(BIN, args, { cwd: REPO, env, stdio: ['ignore', 'ignore', 'pipe'] });
  const killAtExit = () => child.kill('SIGKILL');
  process.once('exit', killAtExit);
  const ended = new Promise((resolve) => {
    child.once('error', (error) => resolve({ error }));
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });

  let log = '';
  const told = (how) => new Error(`the server ${how}; its log:\n${log}`);
  const listening = new Promise((resolve) => {
    child.stderr.setEncoding('utf8').on('data', (text) => {
      log += text;
      if (process.env.FA_LOG) process.stderr.write(text);
      const line = /listening on (http:\/\/\S+)/.exec(log);
      if (line) resolve(line[1]);
    });
  });
  const failed = ended.then(({ error, code, signal }) => {
    throw told(error ? `could not be started (${error.message})` : `ended at start (${signal ?? code})`);
  });
  failed.catch(() => {});
  const url = await within(20_000, Promise.race([listening, failed]), 'the line "listening on"');

  /** Waits until the log has it: lines are written by a thread of their own. */
  async function logged(pattern) {
    const found = (async () => {
      while (!pattern.test(log)) await new Promise((resolve) => setTimeout(resolve, 5));
    })();
    await within(10_000, found, `${pattern} in the log`).catch((error) => {
      pattern = /^/; // ends the loop
      throw new Error(`${error.message}:\n${log}`);
    });
  }

  let stopping = null;
  async function end() {
    child.kill('SIGTERM');
    const { code, signal } = await within(30_000, ended, 'the server to end after SIGTERM').catch((error) => {
      child.kill('SIGKILL');
      throw told(`does not end (${error.message})`);
    });
    process.removeListener('exit', killAtExit);
    rmSync(stateDir, { recursive: true, force: true });
    if (code !== 0) throw told(`ended with ${signal ?? code} instead of 0`);
  }
  const port = Number(new URL(url).port);
  return { url, port, pid: child.pid, stateDir, log: () => log, logged, stop: () => (stopping ??= end()) };
}
