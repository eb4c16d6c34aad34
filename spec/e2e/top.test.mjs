// `fitnessally top`: what a running server does, page after page.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, describe, test } from 'node:test';

import { ask, call, openStream } from './support/client.mjs';
import { BIN, startServer, within } from './support/server.mjs';

/** A `fitnessally top` that runs: until(look) waits for a text of all it has said for which look() gives something. */
function top(server, ...more) {
  const child = spawn(BIN, ['top', '--pid', String(server.pid), ...more], { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { out: '', err: '' };
  let look = () => {};
  child.stdout.setEncoding('utf8').on('data', (text) => { said.out += text; look(); });
  child.stderr.setEncoding('utf8').on('data', (text) => (said.err += text));
  const ended = new Promise((resolve) => child.once('close', (status) => resolve({ status, ...said })));
  const until = (find) => within(30_000, new Promise((resolve) => {
    look = () => {
      const found = find(said.out);
      if (found) resolve(found);
    };
    look();
  }), 'a page that shows it');
  return { child, until, ended: within(60_000, ended, 'its end') };
}

const lines = (out) => out.split('\n').slice(0, -1).map((line) => JSON.parse(line));
const of = ({ activity }, kind) => activity.find((row) => row.kind === kind);

describe('top', () => {
  let server;
  before(async () => (server = await startServer()));
  after(() => server?.stop());

  test('shows what goes on, and ends when it is interrupted', async () => {
    const shown = top(server);
    await shown.until((out) => /^healthy/.test(out) && /^requests {2,}\d+ /m.test(out) && /^running server /m.test(out));
    shown.child.kill('SIGINT');
    const { status, err } = await shown.ended;
    assert.deepEqual([status, err], [0, '']);
  });

  test('counts what ended between two looks, and names who holds most', async () => {
    const shown = top(server, '--json');
    let over = false;
    const asking = (async () => { while (!over) await call(server, 'GET', '/api/health'); })();
    const { dialogueId } = await ask(server, 'How do I do the plank, and then the side plank?');
    const stream = await openStream(server, dialogueId);
    await shown.until((out) => lines(out).some((line) => of(line, 'request').ended > 0));
    const holding = await shown.until((out) => lines(out).find((line) => line.owners.some(({ kind, owner }) => kind === 'dialogue' && owner.includes(dialogueId))));
    assert.ok(of(holding, 'dialogue').now >= 1 && holding.seconds > 0 && holding.rss > 0 && holding.ours > 0, JSON.stringify(holding));
    over = true;
    await asking;
    stream.cut();
    shown.child.kill('SIGTERM');
    assert.equal((await shown.ended).status, 0);
  });

  test('ends, with a failure, when the server goes', async () => {
    const other = await startServer();
    const shown = top(other, '--json');
    await shown.until((out) => lines(out).length > 0);
    await other.stop();
    const { status, err } = await shown.ended;
    assert.equal(status, 1);
    assert.match(err, /^fitnessally: /);
  });
});
