// 10,000 listeners that follow and hear nothing: what each costs, on one dialogue and with one dialogue each; how soon the server
// notices that all of them were cut, and that all is released then. Beside it, if wished, the same of a bare Node server.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { isMain, readOptions } from '../bench/support/options.mjs';
import { crowd, served, startCoach } from '../bench/support/load.mjs';
import { descriptors, memory, quiet, report } from '../bench/support/process.mjs';

const USAGE = `usage: node spec/soak/idle_listeners.mjs [--listeners 10000] [--workers 1] [--peer] [--json] [--set KEY=VALUE]...
  --peer   the same with spec/soak/peer.mjs, an SSE server of Node's own http
Needs one descriptor for each listener, and two while it moves: with a lower "ulimit -n" there are fewer listeners, and it says so.`;

const AT_ONCE = 100; // while they come
const LEFT_FOR_OTHERS = 200;
const shared = Buffer.allocUnsafe(64 * 1024);

/** What the server's limit of descriptors allows. */
function affordable(pid, wished, each) {
  const limit = Number(/^Max open files\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/limits`, 'utf8'))[1]);
  const most = Math.floor((limit - LEFT_FOR_OTHERS) / each);
  if (most < wished) console.error(`only ${most} listeners: the limit of descriptors is ${limit} (ulimit -n)`);
  return Math.min(wished, most);
}

/** A listener that has had its first bytes. */
function listen(port, path) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1', onread: { buffer: shared, callback: (length, buffer) => {
      const head = buffer.latin1Slice(0, Math.min(length, 12));
      if (head.startsWith('HTTP/1.1 ') && head !== 'HTTP/1.1 200') reject(new Error(`listening: ${buffer.latin1Slice(0, length)}`));
      resolve(socket);
      return true;
    } } });
    socket.on('connect', () => socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`));
    socket.on('error', reject);
  });
}

async function onOneDialogue(server, count) {
  const { id, socket } = await served(server, { refused: 0 }, { voice: false, follow: true });
  const sockets = [socket];
  await crowd(count - 1, AT_ONCE, async () => {
    sockets.push(await listen(server.port, `/api/voice/open-stream?dialogueId=${id}&follow=1`));
  });
  return sockets;
}

async function onOneEach(server, count) {
  const sockets = [];
  await crowd(count, AT_ONCE, async () => {
    sockets.push((await served(server, { refused: 0 }, { voice: false, follow: true })).socket);
  });
  return sockets;
}

/** Cuts all and looks until `gone()`; seconds since the first was cut, and what cutting them took on this side. */
async function cut(sockets, gone) {
  const began = performance.now();
  for (const socket of sockets) socket.resetAndDestroy();
  await Promise.all(sockets.map((socket) => socket.destroyed && new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', resolve);
  })));
  const cutting = (performance.now() - began) / 1000;
  while (!(await gone())) await pause(10);
  return { cutting, noticed: (performance.now() - began) / 1000 };
}

const kinds = (before, after, count) => Object.fromEntries(Object.entries(after.byKind)
  .map(([kind, { bytes }]) => [kind, Math.round((bytes - before.byKind[kind].bytes) / count)]).filter(([, bytes]) => bytes !== 0));

async function measure(way, gather, { listeners, workers, rest = 2000, set }) {
  const room = [`max_listeners=${Math.min(10000, listeners + 10)}`, `max_dialogues=${listeners + 100}`, `max_connections=${listeners * 2 + 100}`, 'linger=100ms', 'ping_interval=30s'];
  const server = await startCoach({ workers, set: [...room, ...set] });
  try {
    const count = affordable(server.pid, listeners, 1.5);
    for (const socket of await gather(server, Math.min(20, count))) socket.destroy(); // what is made once is made
    await quiet(server, 20);
    const [before, files] = [memory(server.pid), descriptors(server.pid)];
    const { ledger: empty } = await report(server);
    const began = performance.now();
    const sockets = await gather(server, count);
    const gathering = (performance.now() - began) / 1000;
    await pause(rest); // the last tails have lingered
    const [full, now] = [await report(server), memory(server.pid)];
    const held = (descriptors(server.pid) - files) / count;
    const { cutting, noticed } = await cut(sockets, async () => (await report(server)).ledger.byKind.listener.count === 0);
    const released = noticed + (await quiet(server, 30));
    await pause(rest);
    return {
      way, count, gathering, rssEach: (now.rss - before.rss) / count, ledgerEach: (full.ledger.ours - empty.ours) / count,
      luaEach: (full.memory.lua.bytes ?? 0) / count, kinds: kinds(empty, full.ledger, count), descriptorsEach: held, cutting, noticed, released,
      residualEach: (full.ledger.residual - empty.residual) / count, cachedEach: (full.ledger.cachedAndMapped - empty.cachedAndMapped) / count,
      before: before.rss, full: now.rss, after: memory(server.pid).rss, filesLeft: descriptors(server.pid) - files,
      allocator: full.ledger.allocator?.name,
    };
  } finally {
    await server.stop();
  }
}

async function measurePeer({ listeners }) {
  const child = spawn(process.execPath, [fileURLToPath(new URL('peer.mjs', import.meta.url))], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = [];
  let heard;
  child.stdout.on('data', (text) => {
    lines.push(...String(text).trim().split('\n'));
    heard?.();
  });
  const next = async () => {
    while (!lines.length) await new Promise((resolve) => (heard = resolve));
    return lines.shift();
  };
  const ask = async () => {
    child.stdin.write('count\n');
    return Number(await next());
  };
  const port = Number(await next());
  const count = affordable(child.pid, listeners, 1);
  for (let i = 0; i < 20; i++) (await listen(port, '/events')).destroy();
  await pause(500);
  const before = memory(child.pid);
  const sockets = [];
  await crowd(count, AT_ONCE, async () => sockets.push(await listen(port, '/events')));
  await pause(2000);
  const now = memory(child.pid);
  const { cutting, noticed } = await cut(sockets, async () => (await ask()) === 0);
  child.kill();
  return { way: 'bare Node http', count, rssEach: (now.rss - before.rss) / count, cutting, noticed, before: before.rss, full: now.rss };
}

export async function run(options, tell = () => {}) {
  const results = [];
  const add = async (promise) => tell(results[results.push(await promise) - 1]);
  await add(measure('on one dialogue', onOneDialogue, options));
  await add(measure('one dialogue each', onOneEach, options));
  if (options.peer) await add(measurePeer(options));
  return results;
}

const kb = (bytes) => `${(bytes / 1024).toFixed(1)} KB`;
const seconds = (value) => `${value.toFixed(2)} s`;

function print(f) {
  console.log(`${f.count} listeners, ${f.way}: ${kb(f.rssEach)} of RSS each (${kb(f.before)} -> ${kb(f.full)})`);
  if (f.ledgerEach !== undefined) {
    console.log(`  ledger ${kb(f.ledgerEach)} each: ${Object.entries(f.kinds).map(([kind, bytes]) => `${kind} ${bytes} B`).join(', ')}`);
    console.log(`  libraries (residual) ${kb(f.residualEach)}, kept by the allocator ${kb(f.cachedEach)}, ${f.descriptorsEach.toFixed(1)} descriptors each; ${f.allocator}`);
  }
  console.log(`  all cut within ${seconds(f.cutting)}, all noticed ${seconds(f.noticed)} after the first was cut` +
    (f.released === undefined ? '' : `, all released after ${seconds(f.released)}; RSS then ${kb(f.after)}, ${f.filesLeft} descriptors left`));
}

async function main() {
  const options = readOptions({ listeners: 10000, workers: 1, peer: false, json: false }, USAGE);
  const results = await run(options, options.json ? undefined : print);
  if (options.json) console.log(JSON.stringify(results));
  const bad = results.filter(({ way, rssEach, noticed, cutting }) => way !== 'bare Node http' && (rssEach > 16 * 1024 || noticed - cutting > 1));
  for (const { way, rssEach, noticed } of bad) console.error(`MISSED ${way}: ${kb(rssEach)} each (16 KB), noticed after ${seconds(noticed)} (1 s)`);
  process.exit(bad.length ? 1 : 0);
}

if (isMain(import.meta)) await main();
