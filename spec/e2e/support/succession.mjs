// An application in a folder of its own, and processes that follow one another on the same sockets (`fitnessally upgrade`).

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { BIN, SLOW, startServer } from './server.mjs';

export const HELLO = "app:get('/hello', function(req) req:reply { text = 'hello' } end)\n";

/** { folder, write(text of app.lua), configure(workers) -> the configuration file }; gone when the test file ends. */
export function makeApp(text = HELLO) {
  const folder = mkdtempSync(path.join(tmpdir(), 'fitnessally-app-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(path.join(folder, 'app'));
  const write = (text) => writeFileSync(path.join(folder, 'app/app.lua'), text);
  const configure = (workers) => {
    const file = path.join(folder, 'conf.lua');
    writeFileSync(file, `app = ${JSON.stringify(path.join(folder, 'app'))}\nplugins_enabled = {}\nworkers = ${workers}\n`);
    return file;
  };
  write(text);
  return { folder, write, configure };
}

/** {status, out, err} of `fitnessally COMMAND --pid PID`. */
export function command(name, pid, ...more) {
  return new Promise((resolve) => {
    execFile(BIN, [name, '--pid', String(pid), ...more], { timeout: 60_000 * SLOW }, (error, out, err) => {
      resolve({ status: error?.code ?? 0, out, err });
    });
  });
}

/** The same of `fitnessally upgrade`, with the pid of the new process. */
export async function upgrade(pid) {
  const said = await command('upgrade', pid);
  return { ...said, pid: Number(/process (\d+) serves now/.exec(said.out)?.[1]) };
}

export async function gone(pid, ms = 20_000) {
  for (const end = Date.now() + ms * SLOW; ; await pause(10)) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    if (Date.now() > end) throw new Error(`process ${pid} is still there`);
  }
}

/** Runs `work(server, next)`; next() upgrades, and is the pid of the new one. All of them end in good order. */
export async function succession(args, work, start = startServer) {
  const server = await start(...args);
  let pid = server.pid;
  try {
    await work(server, async () => {
      const said = await upgrade(pid);
      assert.equal(said.status, 0, said.err + server.log());
      const old = pid;
      pid = said.pid;
      await gone(old);
      return pid;
    });
  } finally {
    if (pid !== server.pid) {
      process.kill(pid, 'SIGTERM');
      await gone(pid);
    }
    await server.stop();
  }
}
