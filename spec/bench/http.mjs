// Our server beside others, one worker each, in one run: requests a second, processor time for each, memory. Short rounds in
// turn (A B C, B C A, ...), and medians of them: what else the machine does hits all of them alike. Nothing is asserted.

import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { REPO } from '../e2e/support/server.mjs';
import { isMain, readOptions } from './support/options.mjs';
import { MB, cpuSecondsOfThreads, cpuSplit, memory } from './support/process.mjs';
import { pids, startH2o, startNginx, startNode, startOurs } from './support/servers.mjs';
import { slope } from './support/statistics.mjs';
import { wrk } from './support/wrk.mjs';

const USAGE = `usage: ./dev bench http [--short] [--rounds 7] [--seconds 1] [--connections 32] [--only TEXT] [--flat N] [--json] [--set KEY=VALUE]...
  --short        three rounds: under three minutes
  --only TEXT    the cases whose name contains it
  --flat N       instead: N requests to our server, and how its memory moves`;

const GIFS = path.join(REPO, '../shared/data/exercises/media');
const KB = 1024;

// ---- what is asked for -------------------------------------------------------------------------------------------------

/** The exercise GIF whose size is nearest, else as many random bytes. Gives its name in `folder`. */
function file(folder, name, size) {
  const gifs = existsSync(GIFS) ? readdirSync(GIFS).filter((one) => one.endsWith('.gif')) : [];
  const away = (one) => Math.abs(statSync(path.join(GIFS, one)).size - size);
  const nearest = gifs.map((one) => [one, away(one)]).reduce((a, b) => (b[1] < a[1] ? b : a), [null, size / 8]);
  if (!nearest[0]) {
    writeFileSync(path.join(folder, `${name}.bin`), randomBytes(size));
    return `${name}.bin`;
  }
  copyFileSync(path.join(GIFS, nearest[0]), path.join(folder, `${name}.gif`));
  chmodSync(path.join(folder, `${name}.gif`), 0o644);
  return `${name}.gif`;
}

/** 40 MB of files of that size, more than the media cache of this bench takes. */
function manyFiles(folder, name, size) {
  const count = Math.ceil((40 * MB) / size);
  for (let i = 0; i < count; i++) writeFileSync(path.join(folder, `${name}${i}.bin`), randomBytes(size));
  return { script: 'many.lua', args: [`/files/${name}`, String(count), '.bin'] };
}

function cases(folder) {
  const fileCase = (name, size) => ({ name: `${name}, warm`, path: `/files/${file(folder, name.replace(' ', ''), size)}` });
  const all = ['ours', 'nginx', 'h2o'];
  const warm = [fileCase('1 KB', KB), fileCase('40 KB', 40 * KB), fileCase('400 KB', 400 * KB), fileCase('4 MB', 4 * MB)];
  return [
    { name: 'JSON', path: '/json', who: ['ours', 'node', 'nginx'] },
    ...warm.map((one) => ({ ...one, who: all })),
    { name: '40 KB, 304', path: warm[1].path, conditional: true, who: all },
    { name: '40 KB, cold', path: '/', ...manyFiles(folder, 'cold40-', 40 * KB), who: all },
    { name: '400 KB, cold', path: '/', ...manyFiles(folder, 'cold400-', 400 * KB), who: all },
  ];
}

// ---- measuring -----------------------------------------------------------------------------------------------------------

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const cpu = (server) => pids(server.pid).reduce((sum, pid) => sum + cpuSecondsOfThreads(pid), 0);
const split = (server) => pids(server.pid).map(cpuSplit).reduce((a, b) => ({ kernel: a.kernel + b.kernel, all: a.all + b.all }));
const rss = (server) => pids(server.pid).reduce((sum, pid) => sum + memory(pid).rss, 0);

async function headersFor(server, one) {
  if (!one.conditional) return [];
  const answer = await fetch(server.url + one.path);
  await answer.arrayBuffer();
  return [`If-None-Match: ${answer.headers.get('etag')}`];
}

/** Rounds of one case, in turn. Gives {name: {perSecond, cpuUs, kernel, rss, failed}}; kernel: which part of the processor time. */
async function measure(one, servers, { rounds, seconds, connections }) {
  const results = {};
  for (const server of servers) results[server.name] = { perSecond: [], cpuUs: [], failed: 0, headers: await headersFor(server, one) };
  const begun = new Map(servers.map((server) => [server, split(server)]));
  for (let round = 0; round <= rounds; round++) {
    for (let i = 0; i < servers.length; i++) {
      const server = servers[(i + round) % servers.length];
      const result = results[server.name];
      const before = cpu(server);
      const load = await wrk(server.url, { ...one, seconds: round ? seconds : 0.5, connections, headers: result.headers });
      if (!round) continue; // to warm up
      result.perSecond.push(load.perSecond);
      result.cpuUs.push(((cpu(server) - before) * 1e6) / load.requests);
      result.failed += load.failed;
    }
  }
  for (const server of servers) {
    const [before, after] = [begun.get(server), split(server)];
    results[server.name].kernel = (after.kernel - before.kernel) / (after.all - before.all || 1);
    results[server.name].rss = rss(server);
  }
  return results;
}

// ---- the report ------------------------------------------------------------------------------------------------------------

const NAMES = { ours: 'fitnessally', nginx: 'nginx', h2o: 'h2o', node: 'Node http' };

function rows(one, results) {
  const ours = results.ours;
  return Object.entries(results).map(([name, result]) => {
    const [rate, cost] = [median(result.perSecond), median(result.cpuUs)];
    const ratio = name === 'ours' ? '' : `${(median(ours.perSecond.map((value, i) => value / result.perSecond[i]))).toFixed(2)}`;
    const costRatio = name === 'ours' ? '' : (cost / median(ours.cpuUs)).toFixed(2);
    const spread = `${Math.round(Math.min(...result.perSecond))}-${Math.round(Math.max(...result.perSecond))}`;
    const failed = result.failed ? ` (${result.failed} failed)` : '';
    return `| ${one.name} | ${NAMES[name]} | ${Math.round(rate)}${failed} | ${spread} | ${ratio} | ${cost.toFixed(1)} | ${(cost * result.kernel).toFixed(1)} | ${costRatio} | ${(result.rss / MB).toFixed(1)} |`;
  });
}

async function compare(options, folder, files) {
  const list = cases(files).filter((one) => one.name.includes(options.only));
  const started = [await startOurs(files, ['media_cache=16MB', ...options.set])];
  try {
    started.push(await startNginx(files, folder), await startH2o(files, folder), await startNode());
    const servers = started.filter((one) => one !== null);
    const missing = ['nginx', 'h2o'].filter((name) => !servers.some((one) => one.name === name));
    if (missing.length) console.error(`not here: ${missing.join(', ')}`);
    console.log('| case | server | requests/s | from - to | ours is x | CPU us each | of it kernel | ours is cheaper x | RSS in MB |\n|---|---|---|---|---|---|---|---|---|');
    const all = [];
    for (const one of list) {
      const results = await measure(one, servers.filter(({ name }) => one.who.includes(name)), options);
      all.push({ name: one.name, results });
      if (!options.json) for (const row of rows(one, results)) console.log(row);
    }
    if (options.json) console.log(JSON.stringify(all));
  } finally {
    for (const server of started) await server?.stop();
  }
}

/** Many requests, JSON and files in turn; memory after each slice of them. */
async function flat(options, files) {
  const server = await startOurs(files, options.set);
  const [small, large] = [file(files, '40KB', 40 * KB), file(files, '400KB', 400 * KB)];
  const asked = ['/json', '/json', '/json', `/files/${small}`, '/json', `/files/${small}`, '/json', '/nothing', '/json', `/files/${large}`];
  const samples = [];
  let done = 0;
  try {
    while (done < options.flat) {
      const load = await wrk(server.url, { path: '/', script: 'list.lua', args: asked, seconds: options.seconds, connections: options.connections });
      done += load.requests;
      samples.push([done, memory(server.pid).rss]);
    }
    const later = samples.filter(([at]) => at >= options.flat * 0.1); // the first tenth fills caches and pools
    const { slope: rise, margin } = slope(later);
    const mb = (bytes) => (bytes / MB).toFixed(2);
    console.log(`${done} requests in ${samples.length} samples. RSS in MB: after the first tenth ${mb(later[0][1])}, ` +
      `highest ${mb(Math.max(...samples.map(([, bytes]) => bytes)))}, at the end ${mb(samples.at(-1)[1])}`);
    console.log(`slope: ${((rise * 1e6) / KB).toFixed(0)} ± ${((margin * 1e6) / KB).toFixed(0)} KB per 1,000,000 requests (95 %)`);
  } finally {
    await server.stop();
  }
}

async function main() {
  const options = readOptions({ rounds: 7, seconds: 1, connections: 32, only: '', flat: 0, json: false, short: false }, USAGE);
  if (options.short) options.rounds = 3;
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1)); // which ends the servers, too
  const folder = mkdtempSync(path.join(tmpdir(), 'fitnessally-bench-'));
  const files = path.join(folder, 'files');
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o755);
  mkdirSync(files);
  if (options.flat) await flat(options, files);
  else await compare(options, folder, files);
}

if (isMain(import.meta)) await main();
