// What four workers know together of a service that is not well: it is left alone by all of them, tried by one request, and asked again no
// more often than the budget of all allows.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';

import { ledgerAtZero } from './support/server.mjs';
import { get, startApp, startService, until } from './support/upstreams.mjs';

const WORKERS = 4, MANY = 60;
let service, app;
const state = { requests: 0, held: null, hold: false, status: 503 };
before(async () => {
  service = await startService((request, answer) => {
    state.requests++;
    if (state.hold) state.held = answer;
    else answer.writeHead(state.status).end('words');
  });
  const url = `url=${service.url}`;
  const settings = ['left', 'tried', 'again'].flatMap((name) => [`${name}.${url}`, `${name}.total_timeout=2min`, `${name}.first_byte_timeout=2min`])
    .concat(['left', 'tried'].flatMap((name) => [`${name}.retries=0`, `${name}.breaker_failures=3`]),
      ['left.breaker_cooldown=1h', 'tried.breaker_cooldown=50ms', 'again.breaker_failures=0', 'again.retries=3', 'again.retry_budget=5', 'again.retry_percent=0', 'again.retry_base=1ms']);
  app = await startApp(service, '--workers', String(WORKERS), ...settings.flatMap((one) => ['--set', `upstreams.${one}`]));
});
beforeEach(() => Object.assign(state, { requests: 0, held: null, hold: false, status: 503 }));
afterEach(() => ledgerAtZero(app));
after(async () => {
  await app?.stop();
  await service?.close();
});

/** Each over a connection of its own, so that every worker has its part of them. */
async function ask(up) {
  const { status, text } = await get(app, `/get?up=${up}`);
  return { status, kind: status === 502 ? JSON.parse(text).kind : null };
}

test('an address that has failed is left alone by all workers', async () => {
  const answers = [];
  for (let i = 0; i < MANY; ++i) answers.push(await ask('left'));
  assert.deepEqual(answers.slice(0, 3).map(({ status }) => status), [503, 503, 503]);
  assert.ok(answers.slice(3).every(({ kind }) => kind === 'breaker'), JSON.stringify(answers));
  assert.equal(state.requests, 3);
});

test('one request of all workers tries it when it has rested, and its answer counts for all', async () => {
  for (let i = 0; i < 3; ++i) await ask('tried');
  state.hold = true;
  let trial = null;
  await until(20_000, async () => {
    trial = get(app, '/get?up=tried'); // answered at once, unless it is the one
    await Promise.race([trial, until(20_000, () => state.held, 'the trial')]);
    return state.held !== null;
  }, 'a request to try it');
  assert.equal(state.requests, 4);
  const others = await Promise.all(Array.from({ length: MANY }, () => ask('tried')));
  assert.ok(others.every(({ kind }) => kind === 'breaker'), JSON.stringify(others));
  assert.equal(state.requests, 4, 'only one');
  state.hold = false;
  state.status = 200;
  state.held.writeHead(200).end('well');
  assert.equal((await trial).text, 'well');
  const after = await Promise.all(Array.from({ length: MANY }, () => ask('tried')));
  assert.ok(after.every(({ status }) => status === 200), 'all workers ask it again');
  assert.equal(state.requests, 4 + MANY);
});

test('repetitions come out of one budget', async () => {
  for (let i = 0; i < MANY; ++i) assert.equal((await ask('again')).status, 503);
  assert.equal(state.requests, MANY + 5);
});
