// Our server beside Node's fetch, both between clients and the same service, one thread each, in turn: a 400 KB body, and 500 clients that
// each hear a language model at 50 tokens a second. Processor time and peak memory; nothing is asserted.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { BIN, REPO, within } from '../e2e/support/server.mjs';
import { isMain, readOptions } from './support/options.mjs';

const USAGE = 'usage: ./dev bench upstream [--rounds 3] [--requests 2000] [--connections 32] [--clients 500] [--seconds 8] [--json]';

const here = (name) => path.join(REPO, 'spec/bench/upstream', name);

async function start(program, ...args) {
  const child = spawn(program, args, { cwd: REPO, stdio: ['ignore', 'ignore', 'pipe'] });
  const url = await within(20_000, new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`${program} ended with ${code}`)));
    child.stderr.setEncoding('utf8').on('data', (text) => {
      const line = /listening on (http:\/\/\S+)/.exec(text);
      if (line) resolve(line[1]);
    });
  }), `${program} to listen`);
  const stop = () => new Promise((resolve) => (child.once('exit', resolve), child.kill('SIGKILL')));
  return { url, pid: child.pid, stop };
}

function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function status(pid, name) {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;
}

const starters = {
  ours: (service, state) => start(BIN, 'serve', '--listen', '127.0.0.1:0', '--workers', '1', ...[`app=${path.join(REPO, 'spec/support/upstreams')}`,
    `upstreams.it.url=${service.url}`, 'upstreams.it.concurrency=0', 'upstreams.it.max_idle=64', 'plugins_enabled=', 'tts=', 'control=false',
    `state_dir=${state}`].flatMap((one) => ['--set', one])),
  node: (service) => start(process.execPath, here('node.mjs'), service.url),
};

function get(url, agent) {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { agent }, (answer) => {
      let bytes = 0;
      answer.on('data', (part) => (bytes += part.length));
      answer.on('end', () => resolve(bytes));
      answer.on('error', reject);
    });
    request.on('error', reject);
  });
}

async function bodies(server, { requests, connections }) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: connections });
  let left = requests;
  const one = async () => {
    while (left-- > 0) {
      const bytes = await get(`${server.url}/pipe?path=/body`, agent);
      if (bytes !== 400 * 1024) throw new Error(`${bytes} bytes`);
    }
  };
  await Promise.all(Array.from({ length: connections }, one));
  agent.destroy();
  return requests;
}

async function streams(server, { clients, seconds }) {
  const agent = new http.Agent({ keepAlive: false, maxSockets: Infinity });
  const target = `${server.url}/pipe?path=${encodeURIComponent(`/llm?seconds=${seconds}`)}`;
  await Promise.all(Array.from({ length: clients }, () => get(target, agent)));
  return clients * seconds;
}

/** Processor milliseconds for each unit, and the peak of memory above what it had before. */
async function measure(name, service, load, options) {
  const state = mkdtempSync(path.join(tmpdir(), 'fitnessally-bench-'));
  const server = await starters[name](service, state);
  try {
    await load(server, { ...options, requests: 64, clients: 8, seconds: 1 }); // warm
    const [cpu, rss] = [cpuSeconds(server.pid), status(server.pid, 'VmRSS')];
    const began = performance.now();
    const units = await load(server, options);
    const elapsed = (performance.now() - began) / 1000;
    return { cpuMs: ((cpuSeconds(server.pid) - cpu) * 1000) / units, peak: status(server.pid, 'VmHWM') - rss, elapsed };
  } finally {
    await server.stop();
    rmSync(state, { recursive: true, force: true });
  }
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

async function run(options) {
  const service = await start(process.execPath, here('service.mjs'));
  const results = {};
  for (const [what, load, each] of [['400 KB body', bodies, options.connections], ['LLM stream', streams, options.clients]]) {
    const all = { ours: [], node: [] };
    for (let round = 0; round < options.rounds; ++round) {
      for (const name of round % 2 ? ['node', 'ours'] : ['ours', 'node']) all[name].push(await measure(name, service, load, options));
    }
    results[what] = Object.fromEntries(Object.entries(all).map(([name, list]) => [name, {
      cpuMs: median(list.map(({ cpuMs }) => cpuMs)), peakPerStream: median(list.map(({ peak }) => peak)) / each, seconds: median(list.map(({ elapsed }) => elapsed)) }]));
  }
  await service.stop();
  return results;
}

if (isMain(import.meta)) {
  const options = readOptions({ rounds: 3, requests: 2000, connections: 32, clients: 500, seconds: 8, json: false }, USAGE);
  const results = await run(options);
  if (options.json) console.log(JSON.stringify(results));
  for (const [what, of] of options.json ? [] : Object.entries(results)) {
    for (const [name, { cpuMs, peakPerStream, seconds }] of Object.entries(of)) {
      console.log(`${what}, ${name}: ${cpuMs.toFixed(3)} ms of processor for each ${what === 'LLM stream' ? 'client and second' : 'request'}, ${(peakPerStream / 1024).toFixed(1)} KB of peak memory a stream, ${seconds.toFixed(1)} s`);
    }
  }
}
