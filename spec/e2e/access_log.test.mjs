// The access log of a server that runs: one line for each answer, also of moved streams, no secrets, and nobody who waits for its reader.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { ask, call, openStream } from './support/client.mjs';
import { REPO, SLOW, startServer, within } from './support/server.mjs';

const BIN = path.resolve(process.env.FA_BIN || path.join(REPO, 'build/fitnessally'));

async function withServer(settings, work) {
  const folder = mkdtempSync(path.join(tmpdir(), 'fitnessally-log-'));
  const file = path.join(folder, 'access.log');
  const all = { access_log: 'json', access_log_file: file, ...settings };
  const server = await startServer(...Object.entries(all).flatMap(([key, value]) => ['--set', `${key}=${value}`]));
  try {
    await work(server, file);
  } finally {
    await server.stop().finally(() => rmSync(folder, { recursive: true, force: true }));
  }
}

const lines = (file) => readFileSync(file, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));

/** Waits until the lines that `wanted` picks are `count`. */
async function until(file, count, wanted) {
  let found = [];
  for (const end = Date.now() + 10_000 * SLOW; Date.now() < end; await pause(20)) {
    found = lines(file).filter(wanted);
    if (found.length >= count) return found;
  }
  throw new Error(`${found.length} of ${count} lines in\n${readFileSync(file, 'utf8')}`);
}

test('one line for each answer, with its stages, and no secrets', () =>
  withServer({}, async (server, file) => {
    const headers = { 'X-Request-Id': 'mine-1', Authorization: 'Bearer s3cret', 'User-Agent': 'me "1"', Traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' };
    const { headers: got } = await call(server, 'GET', '/api/health?x=1&api_key=s3cret', { headers });
    assert.equal(got['x-content-type-options'], 'nosniff');
    assert.equal(got['referrer-policy'], 'strict-origin-when-cross-origin');
    assert.equal(got['strict-transport-security'], undefined);
    await call(server, 'GET', '/nothing/here');
    const [line] = await until(file, 1, ({ requestId }) => requestId === 'mine-1');
    assert.equal(line.target, '/api/health?x=1&api_key=[redacted]');
    assert.equal(line.route, '/api/health');
    assert.equal(line.generation, 1);
    assert.equal(line.traceId, '0af7651916cd43dd8448eb211c80319c');
    assert.equal(line.userAgent, 'me "1"');
    assert.deepEqual([line.status, line.method, line.protocol, line.remote, line.end], [200, 'GET', 'HTTP/1.1', '127.0.0.1', 'answered']);
    assert.ok(line.bytesIn > 100 && line.bytesOut > 10);
    const { parsed, queued, handler, firstByte, lastByte } = line.ms;
    assert.ok(0 <= parsed && parsed <= handler && handler <= firstByte && firstByte <= lastByte && queued <= handler, JSON.stringify(line.ms));
    const [missing] = await until(file, 1, ({ status }) => status === 404);
    assert.equal(missing.target, '/nothing/here');
    assert.ok(!readFileSync(file, 'utf8').includes('s3cret'));
  }));

test('streams, also those that move to another worker, have one line when they end', () =>
  withServer({ workers: 3, linger: '200ms' }, async (server, file) => {
    const ids = [];
    for (let i = 0; i < 6; ++i) {
      const { dialogueId } = await ask(server, `How do I do the plank, ${i}?`);
      const stream = await openStream(server, dialogueId);
      await stream.until(({ name }) => name === 'done', 'the end of the answer', 30_000);
      ids.push(dialogueId);
    }
    const isStream = ({ target }) => target.startsWith('/api/voice/open-stream');
    const streams = await until(file, ids.length, isStream);
    await pause(100);
    assert.equal(lines(file).filter(isStream).length, ids.length);
    assert.deepEqual(streams.map(({ dialogueId }) => dialogueId).sort(), [...ids].sort());
    for (const { status, ms, bytesOut, end, route } of streams) {
      assert.deepEqual([status, end, route], [200, 'answered', '/api/voice/open-stream']);
      assert.ok(bytesOut > 1000 && ms.firstByte < ms.lastByte, JSON.stringify({ ms, bytesOut }));
    }
    const asked = lines(file).filter(({ method }) => method === 'POST');
    assert.deepEqual(asked.map(({ dialogueId }) => dialogueId).sort(), [...ids].sort());
  }));

const counter = (metrics, which) => Number(new RegExp(`^fitnessally_access_log_${which}_total (\\d+)$`, 'm').exec(metrics)?.[1]);

test('SIGUSR1 opens the file anew', () =>
  withServer({}, async (server, file) => {
    await call(server, 'GET', '/before');
    await until(file, 1, ({ target }) => target === '/before');
    renameSync(file, `${file}.1`);
    process.kill(server.pid, 'SIGUSR1');
    for (const end = Date.now() + 10_000 * SLOW; !server.log().includes('opened anew'); await pause(10)) assert.ok(Date.now() < end, server.log());
    await call(server, 'GET', '/after');
    await until(file, 1, ({ target }) => target === '/after');
    assert.equal(lines(file).length, 1);
    assert.equal(lines(`${file}.1`).length, 1);
  }));

test('a rate holds, and the log tells of what was left out', () =>
  withServer({ access_log_rate: 5, workers: 1 }, async (server, file) => {
    for (let i = 0; i < 60; ++i) await call(server, 'GET', `/n/${i}`);
    await until(file, 5, () => true);
    for (const end = Date.now() + 10_000 * SLOW; !/access log: \d+ lines were dropped/.test(server.log()); await pause(10)) assert.ok(Date.now() < end, server.log());
    assert.ok(lines(file).length < 60);
    assert.ok(counter((await call(server, 'GET', '/metrics')).text, 'held_back') > 0);
  }));

test('nobody reads standard output and standard error: the server answers, and does not grow', async () => {
  const stateDir = mkdtempSync(path.join(tmpdir(), 'fitnessally-log-'));
  const child = spawn(BIN, ['serve', '-c', path.join(REPO, 'fitnessally.conf.lua'), '--listen', '127.0.0.1:0', '--set', `state_dir=${stateDir}`,
    '--set', 'access_log=combined', '--set', 'log_level=debug'], { cwd: REPO, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
  try {
    const url = await within(20_000, new Promise((resolve, reject) => {
      let log = '';
      child.stderr.setEncoding('utf8').on('data', (text) => {
        log += text;
        const line = /listening on (http:\/\/\S+)/.exec(log);
        if (line) resolve(line[1]);
      });
      child.once('exit', () => reject(new Error(log)));
    }), 'the line "listening on"');
    child.stderr.removeAllListeners('data').pause(); // from here on nobody reads
    const rss = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))[1]);
    let warm = 0;
    for (let i = 0; i < 3000; ++i) {
      const answer = await within(5000, fetch(`${url}/bad/${'x'.repeat(200)}/${i}`, { headers: { connection: i % 50 === 0 ? 'close' : 'keep-alive' } }), 'an answer');
      assert.equal(answer.status, 404);
      await answer.arrayBuffer();
      if (i === 1500) warm = rss();
    }
    const metrics = await (await fetch(`${url}/metrics`, { headers: { connection: 'close' } })).text();
    assert.ok(counter(metrics, 'dropped') > 0);
    assert.ok(SLOW > 1 || rss() - warm < 4096, `${rss() - warm} KB more`);
  } finally {
    child.kill('SIGTERM');
    const { code } = await within(30_000, ended, 'the server to end');
    rmSync(stateDir, { recursive: true, force: true });
    assert.equal(code, 0);
  }
});
