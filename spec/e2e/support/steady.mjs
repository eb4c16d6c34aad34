// Steady load from a C client that accounts for every request: spec/bench/bench_steady.c.
//
//   FA_RATE  requests a second (default 1000, less under a sanitizer); the figure the project wants is 5000, of a release build

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';

import { REPO, SLOW } from './server.mjs';

const beside = path.join(path.dirname(path.resolve(process.env.FA_BIN || 'build/fitnessally')), 'bench/bench_steady');
const PROGRAM = [beside, path.join(REPO, 'build-dev/bench/bench_steady')].find(existsSync);

export const RATE = Number(process.env.FA_RATE || Math.max(50, Math.round(1000 / SLOW)));
export const missing = PROGRAM ? false : 'bench_steady is not built (./dev build dev)';

/** On kept connections and on new ones (`fresh` percent of the requests), with TLS when `secure`: {sent, answered, failed, refused, closed, reset, status, late, rate, p50, p99, max}. */
export function steady(port, seconds, { rate = RATE, target = '/hello', secure = false, kept = 64, fresh = 50 } = {}) {
  return new Promise((resolve, reject) => {
    execFile(PROGRAM, [secure ? 'https://127.0.0.1' : '127.0.0.1', port, rate, seconds, target, kept, fresh].map(String), { timeout: 60_000 * SLOW }, (error, out) => {
      if (out) resolve(JSON.parse(out));
      else reject(error);
    });
  });
}
