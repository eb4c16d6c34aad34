// A service to be asked, the application that asks it (spec/support/upstreams), and recycling under load.

import { execFile } from 'node:child_process';
import http from 'node:http';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { BIN, REPO, SLOW, startServer, within } from './server.mjs';

/** A service on a port of its own; `sockets` are those that are open. */
export async function startService(handler) {
  const sockets = new Set();
  const service = http.createServer({ keepAliveTimeout: 0 }, handler);
  let connections = 0;
  service.on('connection', (socket) => {
    connections++;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => {});
  });
  await new Promise((resolve) => service.listen(0, '127.0.0.1', resolve));
  const close = () => new Promise((resolve) => {
    for (const socket of sockets) socket.destroy();
    service.close(resolve);
  });
  return { url: `http://127.0.0.1:${service.address().port}`, sockets, connections: () => connections, close };
}

export function startApp(service, ...extra) {
  const settings = ['app=' + path.join(REPO, 'spec/support/upstreams'), `upstreams.it.url=${service.url}`, 'plugins_enabled=', 'tts='];
  return startServer(...settings.flatMap((setting) => ['--set', setting]), ...extra);
}

export function recycle(server, name) {
  return new Promise((resolve) => {
    execFile(BIN, ['recycle', name, '--pid', String(server.pid)], { timeout: 20_000 * SLOW }, (error, out, err) =>
      resolve({ status: error?.code ?? 0, out, err }));
  });
}

export function get(server, target, agent) {
  return new Promise((resolve) => {
    const request = http.get(server.url + target, { agent }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part) => (text += part));
      const headers = new Headers(Object.entries(answer.headers).map(([name, value]) => [name, String(value)]));
      // Not enumerable: an answer is compared with { status, text }.
      answer.on('end', () => resolve(Object.defineProperty({ status: answer.statusCode, text }, 'headers', { value: headers })));
      answer.on('error', (error) => resolve({ status: 0, text: error.message }));
    });
    request.on('error', (error) => resolve({ status: 0, text: error.message }));
  });
}

export async function until(ms, condition, what) {
  await within(ms, (async () => { while (!(await condition())) await pause(10); })(), what);
}

/** `rate` requests a second for `seconds`, with a fresh pool every `every` ms. What came of it. */
export async function recycleUnderLoad({ seconds, rate, every, workers }) {
  const service = await startService((request, answer) => answer.end('x'.repeat(2000)));
  const server = await startApp(service, '--workers', String(workers), '--set', 'upstreams.it.max_idle=64');
  const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
  const tally = { asked: 0, failed: 0, recycled: 0, mostSockets: 0, firstFailure: '' };
  const pending = new Set();
  const ends = performance.now() + seconds * 1000;
  let next = performance.now() + every;
  const started = performance.now();
  while (performance.now() < ends) {
    const due = Math.floor(((performance.now() - started) / 1000) * rate) - tally.asked;
    for (let i = 0; i < due && pending.size < 1000; ++i) {
      tally.asked++;
      const one = get(server, '/get', agent).then(({ status, text }) => {
        pending.delete(one);
        if (status === 200 && text.length === 2000) return;
        tally.failed++;
        tally.firstFailure ||= `${status} ${text.slice(0, 200)}`;
      });
      pending.add(one);
    }
    if (performance.now() >= next) {
      next += every;
      const { status, err } = await recycle(server, 'it');
      if (status !== 0) throw new Error(err);
      tally.recycled++;
    }
    tally.mostSockets = Math.max(tally.mostSockets, service.sockets.size);
    await pause(5);
  }
  await Promise.all(pending);
  agent.destroy();
  await recycle(server, 'it');
  await until(5000, () => service.sockets.size === 0, 'every connection to the service to close');
  const { text } = await get(server, '/memory');
  const { transfer } = JSON.parse(text).ledger.byKind;
  const closed = [...server.log().matchAll(/upstream it: pool closed \(asked for\): age (\d+) s, (\d+) requests, .*?, (\d+) connections closed, (.+?) released/g)];
  tally.poolsClosed = closed.length;
  tally.connectionsClosed = closed.reduce((sum, [, , , count]) => sum + Number(count), 0);
  tally.connections = service.connections();
  tally.transfers = transfer.count;
  tally.transferBytes = transfer.bytes;
  await server.stop();
  await service.close();
  return tally;
}
