// `fitnessally memory` against a server that runs: its own dialogues, with listeners that do and do not read.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { ask, call, openStream } from './support/client.mjs';
import { REPO, SLOW, startServer, within } from './support/server.mjs';

const BIN = path.resolve(process.env.FA_BIN || path.join(REPO, 'build/fitnessally'));

let server;
before(async () => {
  server = await startServer('--set', 'tracker_interval=50ms', '--set', 'first_listener_grace=1s', '--set', 'linger=500ms');
});
after(() => server?.stop());

/** {status, out, err} of `fitnessally memory …`. */
function memory(...args) {
  return new Promise((resolve) => {
    execFile(BIN, ['memory', ...args], { timeout: 20_000 * SLOW }, (error, out, err) => resolve({ status: error?.code ?? 0, out, err }));
  });
}

const here = () => ['--pid', String(server.pid)];

test('a table for people, with every figure of the report', async () => {
  const { status, out, err } = await memory(...here());
  assert.equal(status, 0, err);
  for (const part of ['memory: healthy', 'RSS', 'owned (ours)', 'without an owner (residual)', 'plugin records', 'LARGEST OWNERS', 'MADE AT', 'dialogues: 0 live']) {
    assert.ok(out.includes(part), `"${part}" is not in:\n${out}`);
  }
});

test('--json is what the route says', async () => {
  const { status, out } = await memory(...here(), '--json');
  assert.equal(status, 0);
  const said = JSON.parse(out);
  const { json } = await call(server, 'GET', '/api/health/memory');
  assert.deepEqual(Object.keys(said).sort(), Object.keys(json).sort());
  assert.deepEqual(said.warnings, []);
  const lasting = ({ ledger: { byKind } }) => ['server', 'plugin', 'cache', 'dialogue', 'turn', 'request'].map((kind) => [kind, byKind[kind].count]);
  assert.deepEqual(lasting(said), lasting(json));
});

test('a dialogue is seen with its bytes, its age and the line that made them', async () => {
  const { dialogueId } = await ask(server, 'How do I do the plank?');
  const stream = await openStream(server, dialogueId);
  await stream.until(({ name }) => name === 'audioChunk', 'a sentence', 20_000);
  const { json } = await call(server, 'GET', '/api/health/memory/analyze');
  const owner = json.byAge.find(({ owner: label }) => label.includes(dialogueId));
  assert.ok(owner, JSON.stringify(json.byAge));
  assert.equal(owner.kind, 'dialogue');
  assert.ok(owner.ageMs >= 0 && owner.total > 10_000);
  assert.ok(json.byOrigin.some(({ madeAt, bytes, buffers }) => madeAt.startsWith('core/dialogue/event_log.c:') && bytes > 10_000 && buffers > 0));
  assert.ok(json.dialogues.logBytes === json.dialogues.replayBytes + json.dialogues.lookaheadBytes && json.dialogues.logBytes > 0);
  const report = (await call(server, 'GET', '/api/health/memory')).json;
  for (const part of ['replayBytes', 'lookaheadBytes', 'makingBytes']) assert.ok(report.dialogues[part] >= 0, part);
  const { out } = await memory(...here());
  assert.ok(out.includes(dialogueId), out);
  assert.match(out, /their logs: .* = replay .* \+ look-ahead .*; in flight .*; in the making /);
  await within(20_000, stream.ended, 'the end of the answer');
});

test('the doctor says what it means', async () => {
  const words = await memory('doctor', ...here());
  assert.equal(words.status, 0);
  assert.match(words.out, /^(Nothing is wrong: RSS|warning: )/);
  const { findings, wrong } = JSON.parse((await memory('doctor', '--json', ...here())).out);
  assert.equal(typeof wrong, 'boolean');
  assert.ok(findings.length > 0 && findings.every(({ severity, text }) => severity && text));
});

test('--watch draws again until it is interrupted', async () => {
  const child = spawn(BIN, ['memory', '--watch', ...here()], { stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text) => (out += text));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const twice = async () => {
    while (out.split('memory: ').length < 3) await pause(50);
  };
  await within(15_000, twice(), 'a second page');
  child.kill('SIGINT');
  assert.equal(await within(5_000, ended, 'the end after SIGINT'), 0);
});

test('SIGUSR2 writes all of it into a file, and the server goes on', async () => {
  process.kill(server.pid, 'SIGUSR2');
  const written = async () => {
    while (!server.log().includes('memory report written to')) await pause(50);
  };
  await within(10_000, written(), 'the report');
  const [name] = readdirSync(server.stateDir).filter((file) => /^memory-.*\.json$/.test(file));
  const full = JSON.parse(readFileSync(path.join(server.stateDir, name)));
  assert.deepEqual(Object.keys(full), ['report', 'analysis', 'tracker', 'doctor']);
  assert.ok(full.tracker.enabled && full.tracker.samples.length > 0 && full.tracker.capacity === 120);
  assert.equal((await call(server, 'GET', '/api/health')).status, 200);
});

test('a script that does not let go of its worker does not keep the answer back', async () => {
  const app = mkdtempSync(path.join(tmpdir(), 'fitnessally-busy-'));
  writeFileSync(path.join(app, 'app.lua'), `
    app:get("/busy", function(req)
      local till = fitnessally.now() + 8000
      while fitnessally.now() < till do end
      req:reply{text = "free again"}
    end)`);
  const busy = await startServer('--workers', '2', '--set', 'script_slice=1min', '--set', `app=${app}`); // nobody stops it
  try {
    const look = async () => JSON.parse((await memory('--pid', String(busy.pid), '--json')).out);
    let over = false;
    const answer = fetch(`${busy.url}/busy`).finally(() => (over = true));
    let said = await look();
    while (!over && !said.snapshot.some((worker) => worker.busy)) said = await look();
    assert.equal(over, false, 'seen while the script runs');
    assert.equal(said.snapshot.filter((worker) => worker.busy).length, 1, JSON.stringify(said.snapshot));
    assert.equal(said.status, 'warning');
    assert.match(said.warnings.join(), /1 of 2 workers did not answer within 500 ms/);
    assert.ok(said.ledger.byKind.worker.count >= 2 && said.ledger.ours > 0, JSON.stringify(said.ledger));
    assert.match((await memory('doctor', '--pid', String(busy.pid))).out, /warning: Worker [01] did not answer/);
    assert.equal(await (await answer).text(), 'free again');
    assert.deepEqual((await look()).snapshot.map(({ busy: held }) => held), [undefined, undefined]);
  } finally {
    await busy.stop();
    rmSync(app, { recursive: true, force: true });
  }
});

test('what is wrong is said, with the right exit status', async () => {
  assert.equal((await memory('nonsense')).status, 2);
  assert.equal((await memory('--pid', 'x')).status, 2);
  assert.equal((await memory('--pid', '1', '--socket', 'y')).status, 2);
  const missing = await memory('--socket', '/tmp/there/is/none.sock');
  assert.equal(missing.status, 1);
  assert.match(missing.err, /none\.sock/);
  assert.equal((await memory('--pid', String(process.pid))).status, 1);
  assert.match((await memory('--help')).out, /--watch/);
});

test('the socket goes with the server; control=false makes none', async () => {
  const quiet = await startServer('--set', 'control=false');
  try {
    assert.equal((await memory('--pid', String(quiet.pid))).status, 1);
  } finally {
    await quiet.stop();
  }
  await server.stop();
  const { status, err } = await memory(...here());
  assert.equal(status, 1);
  assert.match(err, /no server of this user that answers/);
});
