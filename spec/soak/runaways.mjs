// How runaway scripts touch others: requests at a fixed rate to one worker, first with nothing beside them, then with every script of the
// runaway table in turn. Each script must be stopped within its slice and 50 ms, and the others' p99 may grow by one slice.

import http from 'node:http';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { REPO, startServer } from '../e2e/support/server.mjs';
import { isMain, readOptions } from '../bench/support/options.mjs';

const USAGE = `usage: node spec/soak/runaways.mjs [--rate 1000] [--seconds 20] [--pause 1000] [--slice 100] [--workers 1] [--json]
                                       [--set KEY=VALUE]...
  --rate N      requests a second of the others
  --pause MS    from the end of one runaway to the next; 0: one after the other
  --slice MS    script_slice
FA_BIN: the program.`;

const KEPT = 16;

function get(url, agent) {
  return new Promise((resolve, reject) => {
    http.get(url, { agent }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text) => (body += text));
      response.on('end', () => resolve({ status: response.statusCode, body }));
    }).on('error', reject);
  });
}

/** Asks for /quick at `rate` until `over`; a request's time counts from when it was due, so that one that waits delays no other. */
async function others(server, rate, agent, over) {
  const [times, asked, began] = [[], [], performance.now()];
  let failed = 0;
  for (let sent = 0; !over();) {
    for (const due = ((performance.now() - began) * rate) / 1000; sent < due; sent++) {
      const at = began + (sent * 1000) / rate;
      asked.push(get(`${server.url}/quick`, agent).then(({ status }) => {
        times.push(performance.now() - at);
        failed += status !== 200;
      }, () => { failed++; }));
    }
    await pause(1);
  }
  await Promise.all(asked);
  times.sort((a, b) => a - b);
  const share = (part) => times[Math.min(times.length - 1, Math.floor(times.length * part))];
  return { count: times.length, failed, p50: share(0.5), p99: share(0.99), p999: share(0.999), most: times.at(-1) };
}

async function runaways(server, names, options) {
  const stopped = [];
  for (const name of names) {
    await pause(options.pause);
    const began = performance.now();
    const { status } = await get(`${server.url}/runaway/${name}`);
    stopped.push({ name, status, ms: performance.now() - began });
  }
  return stopped;
}

export async function run(options) {
  const app = path.join(REPO, 'spec/support/runaway');
  const settings = [`app=${app}`, `script_slice=${options.slice}ms`, ...options.set].flatMap((each) => ['--set', each]);
  const server = await startServer(...settings, '--workers', String(options.workers));
  const agent = new http.Agent({ keepAlive: true, maxSockets: KEPT });
  try {
    const names = JSON.parse((await get(`${server.url}/names`, agent)).body);
    const until = performance.now() + options.seconds * 1000;
    const alone = await others(server, options.rate, agent, () => performance.now() > until);
    let over = false;
    const stopping = runaways(server, names, options).finally(() => { over = true; });
    const beside = await others(server, options.rate, agent, () => over);
    return { alone, beside, stopped: await stopping, slice: options.slice };
  } finally {
    agent.destroy();
    await server.stop();
  }
}

const line = (name, { count, failed, p50, p99, p999, most }) =>
  `${name}: ${count} requests, ${failed} failed; p50 ${p50.toFixed(2)}, p99 ${p99.toFixed(2)}, p99.9 ${p999.toFixed(2)}, most ${most.toFixed(1)} ms`;

async function main() {
  const options = readOptions({ rate: 1000, seconds: 20, pause: 1000, slice: 100, workers: 1, json: false }, USAGE);
  const figures = await run(options);
  const { alone, beside, stopped, slice } = figures;
  const late = stopped.filter(({ ms, status }) => ms > slice + 50 || status !== 500).sort((a, b) => b.ms - a.ms);
  if (options.json) {
    console.log(JSON.stringify(figures));
  } else {
    console.log(line('alone', alone));
    console.log(line('beside runaways', beside));
    const slowest = stopped.reduce((a, b) => (a.ms > b.ms ? a : b));
    console.log(`${stopped.length} runaways with a slice of ${slice} ms, each answered with 500; the slowest, ${slowest.name}, after ${slowest.ms.toFixed(0)} ms`);
    for (const { name, ms, status } of late) console.log(`  late: ${name}, ${ms.toFixed(0)} ms, ${status}`);
  }
  const good = beside.failed === 0 && beside.p99 <= alone.p99 + slice && late.length === 0;
  console.error(good ? 'ok' : 'MISSED');
  process.exit(good ? 0 : 1);
}

if (isMain(import.meta)) await main();
