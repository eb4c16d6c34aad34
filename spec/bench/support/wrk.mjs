// wrk (Debian's), once: one thread, and what it counted.

import { spawn } from 'node:child_process';
import path from 'node:path';

import { REPO } from '../../e2e/support/server.mjs';

/** `one`: {path, seconds, connections, headers, script, args}. Gives {requests, seconds, perSecond, failed}. */
export function wrk(url, { path: target, seconds, connections, headers = [], script, args = [] }) {
  const own = ['-s', path.join(REPO, 'spec/bench/http', script ?? 'count.lua')];
  const flags = ['-t', '1', '-c', String(connections), '-d', `${Math.max(1, Math.round(seconds))}s`, '--timeout', '10s'];
  const all = [...flags, ...headers.flatMap((one) => ['-H', one]), ...own, url + target, '--', ...args];
  return new Promise((resolve, reject) => {
    let out = '';
    const child = spawn('wrk', all, { stdio: ['ignore', 'pipe', 'inherit'] });
    child.once('error', reject);
    child.stdout.setEncoding('utf8').on('data', (text) => (out += text));
    child.once('close', () => {
      const told = /^figures (\d+) (\d+) (\d+)$/m.exec(out);
      if (!told) {
        reject(new Error(`wrk said: ${out}`));
        return;
      }
      const [requests, us, failed] = told.slice(1).map(Number);
      resolve({ requests, seconds: us / 1e6, perSecond: (requests * 1e6) / us, failed });
    });
  });
}
