// Scripts are loaded anew: by the command and by the signal, and under load (a short form of spec/soak/reload.mjs, a third of the edits broken).

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { run } from '../soak/reload.mjs';
import { call } from './support/client.mjs';
import { ledgerAtZero, startServer, within } from './support/server.mjs';
import { HELLO, command, makeApp } from './support/succession.mjs';
import { until } from './support/tls.mjs';

test('reloads under load: no request fails, none is late, none is of two generations, and old ones go', async () => {
  const result = await run({ reloads: 12, rate: 400, connections: 8, dialogues: 6, turn: 150, workers: 4, pause: 50, set: [] });
  assert.deepEqual(result.problems, []);
  assert.equal(result.broken, 4);
  assert.ok(result.requests > 100 && result.turns > 6, JSON.stringify(result));
});

describe('a changed script', () => {
  const app = makeApp();
  const says = (word) => HELLO.replace("'hello' }", `'${word}' }`);
  let server;
  before(async () => (server = await startServer('-c', app.configure(3))));
  after(() => server?.stop());
  afterEach(() => ledgerAtZero(server));

  /** What every worker says, by as many new connections. */
  async function words() {
    const said = new Set();
    for (let i = 0; i < 12; ++i) said.add((await call(server, 'GET', '/hello')).text);
    return [...said];
  }

  test('serves once `fitnessally reload` has come back', async () => {
    assert.deepEqual(await words(), ['hello']);
    app.write(says('second'));
    assert.deepEqual(await words(), ['hello'], 'saving alone changes nothing');
    const { status, out } = await command('reload', server.pid);
    assert.equal(status, 0);
    assert.match(out, /^generation 2 serves: loaded for 3 workers in /);
    assert.deepEqual(await words(), ['second']);
  });

  test('that is broken is shown with its line, the status is 1, and the old one serves on', async () => {
    app.write('local x = 1\noops oops\n');
    const { status, out, err } = await command('reload', server.pid);
    assert.equal(status, 1);
    assert.equal(out, '');
    assert.match(err, /app\.lua:2: /);
    assert.match(err, /generation 2 serves on/);
    const json = JSON.parse((await command('reload', server.pid, '--json')).out);
    assert.deepEqual([json.ok, json.error.file, json.error.line], [false, 'app.lua', 2]);
    assert.deepEqual(await words(), ['second']);
  });

  test('is loaded at SIGHUP, and the log says how it went', async () => {
    const hangUp = async (wanted) => {
      const before = server.log().length;
      process.kill(server.pid, 'SIGHUP');
      await within(20_000, until(() => wanted.test(server.log().slice(before))), `${wanted} in the log`);
    };
    await hangUp(/reload \(asked for\): generation 2 serves on: app\.lua:2: /);
    assert.deepEqual(await words(), ['second']);
    app.write(says('third'));
    await hangUp(/reload \(asked for\): generation \d+ serves: /);
    assert.deepEqual(await words(), ['third']);
  });
});
