// What a request costs our server, counted and not timed: instructions of its own code and of its libraries, by callgrind, on the
// release build. The same on a busy machine as on a quiet one, so that two versions can be compared. The kernel is not in it.

import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { isMain, readOptions } from './support/options.mjs';

const USAGE = `usage: ./dev bench instructions [--requests 10000] [--connections 32] [--keep FILE] [--set KEY=VALUE]...
  --keep FILE    what callgrind wrote, FILE.NAME for each case, for callgrind_annotate`;

const CASES = [
  { name: 'JSON', path: '/json' },
  { name: 'JSON, access log', path: '/json', set: ['access_log=json', 'access_log_file=/dev/null'] },
  { name: '40 KB file', path: '/files/a.bin' },
  { name: '40 KB file, 304', path: '/files/a.bin', conditional: true },
];

/** One connection that asks when it is told to; `next` gives the head of the answer when all of it has come. */
async function connect(port) {
  const socket = net.connect(port, '127.0.0.1');
  let head = null;
  let missing = 0;
  let early = Buffer.alloc(0);
  let done = null;
  function take(bytes) {
    if (head === null) {
      early = Buffer.concat([early, bytes]);
      const end = early.indexOf('\r\n\r\n');
      if (end < 0) return;
      head = early.toString('latin1', 0, end);
      missing = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0) + end + 4 - early.length;
      early = Buffer.alloc(0);
    } else {
      missing -= bytes.length;
    }
    if (missing > 0) return;
    const whole = head;
    head = null;
    done.resolve(whole);
  }
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  socket.on('data', take);
  socket.on('close', () => done?.reject(new Error('the server closed')));
  return {
    next(request) {
      return new Promise((resolve, reject) => {
        done = { resolve, reject };
        socket.write(request);
      });
    },
    end: () => socket.removeAllListeners('close').destroy(),
  };
}

async function load(port, request, count, connections) {
  const clients = await Promise.all(Array.from({ length: connections }, () => connect(port)));
  let left = count;
  const work = async (client) => {
    while (left-- > 0) await client.next(request);
  };
  await Promise.all(clients.map(work));
  for (const client of clients) client.end();
}

const control = (on, pid) => execFileSync('callgrind_control', ['-i', on ? 'on' : 'off', String(pid)], { stdio: 'ignore' });

async function measure(one, options, folder, startOurs) {
  const out = options.keep ? `${options.keep}.${one.name.replace(/\W+/g, '-')}` : path.join(folder, 'callgrind.out');
  process.env.FA_CALLGRIND_OUT = out;
  const server = await startOurs(path.join(folder, 'files'), [...(one.set ?? []), ...options.set]);
  try {
    const ask = (extra = '') => `GET ${one.path} HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\n${extra}\r\n`;
    const first = await connect(server.port);
    const etag = /^etag: (.*)$/im.exec(await first.next(ask()))?.[1];
    first.end();
    const request = ask(one.conditional ? `If-None-Match: ${etag}\r\n` : '');
    await load(server.port, request, 4 * options.connections, options.connections); // to warm up
    control(true, server.pid);
    await load(server.port, request, options.requests, options.connections);
    control(false, server.pid);
  } finally {
    await server.stop();
  }
  const total = Number(/^totals: (\d+)/m.exec(readFileSync(out, 'utf8'))[1]);
  console.log(`| ${one.name} | ${Math.round(total / options.requests)} |`);
}

async function main() {
  const options = readOptions({ requests: 10000, connections: 32, keep: '' }, USAGE);
  const folder = mkdtempSync(path.join(tmpdir(), 'fitnessally-instructions-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const real = path.resolve(process.env.FA_BIN ?? fileURLToPath(new URL('../../build/fitnessally', import.meta.url)));
  const wrapped = path.join(folder, 'fitnessally');
  const callgrind = 'valgrind -q --tool=callgrind --instr-atstart=no --callgrind-out-file="$FA_CALLGRIND_OUT"';
  writeFileSync(wrapped, `#!/bin/sh\nexec ${callgrind} "${real}" "$@"\n`);
  chmodSync(wrapped, 0o755);
  mkdirSync(path.join(folder, 'files'));
  writeFileSync(path.join(folder, 'files/a.bin'), Buffer.alloc(40 * 1024, 'x'));
  process.env.FA_BIN = wrapped; // read when the next line loads the support
  process.env.FA_SLOW ??= '10';
  const { startOurs } = await import('./support/servers.mjs');
  console.log('| case | instructions each |\n|---|---|');
  for (const one of CASES) await measure(one, options, folder, startOurs);
}

if (isMain(import.meta)) await main();
