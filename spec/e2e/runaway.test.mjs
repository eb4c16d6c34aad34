// Scripts that do not end, take all memory or recurse for ever (spec/support/runaway/app.lua): each gets a 500 that names its
// line, within the slice and 50 ms, and whoever else asks meanwhile, even of the same worker, waits for one slice at most.

import assert from 'node:assert/strict';
import http from 'node:http';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';

import { REPO, SLOW, ledgerAtZero, startServer, within } from './support/server.mjs';

const SLICE = 100 * SLOW;
const APP = ['--set', `app=${path.join(REPO, 'spec/support/runaway')}`, '--set', 'mode=dev', '--set', `script_slice=${SLICE}ms`];

/** A GET on a connection of its own or of the agent: { status, body, ms }. */
function get(url, agent) {
  const started = performance.now();
  return within(30_000, new Promise((resolve, reject) => {
    http.get(url, { agent }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text) => (body += text));
      response.on('end', () => resolve({ status: response.statusCode, body, ms: performance.now() - started }));
    }).on('error', reject);
  }), url);
}

const logged = async (server, text) => {
  while (!server.log().includes(text)) await new Promise((resolve) => setTimeout(resolve, 10));
};

const ends = (answer) => {
  assert.equal(answer.status, 500, answer.body.slice(0, 200));
  const { message } = JSON.parse(answer.body).error;
  assert.match(message, /^app\.lua:\d+: (the script ran for more|not enough memory|stack overflow|string\.rep|json\.encode)/);
};

/** Processor time of the whole process in ms: on a busy machine the clock on the wall says nothing. */
async function processorMs(pid) {
  const { readFile } = await import('node:fs/promises');
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

describe('a runaway script', () => {
  let server, names;
  before(async () => {
    server = await startServer(...APP, '--workers', '1');
    names = JSON.parse((await get(`${server.url}/names`)).body);
  });
  after(() => server?.stop());
  afterEach(() => ledgerAtZero(server));

  test('is stopped, whatever it does, and says where', async (t) => {
    assert.ok(names.length >= 30);
    for (const name of names) {
      await t.test(name, async () => {
        const before = await processorMs(server.pid);
        ends(await get(`${server.url}/runaway/${name}`));
        // loop_in_all runs twice at most; collecting what a bomb left comes on top, and the kernel counts in 10 ms
        const took = (await processorMs(server.pid)) - before;
        assert.ok(took <= SLICE + (50 + 20) * SLOW, `it took ${took} ms of processor time`);
        assert.equal((await get(`${server.url}/quick`)).status, 200);
      });
    }
  });

  test('holds up others on its worker for one slice at most', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
    const times = [];
    let over = false;
    const others = Promise.all([1, 2, 3, 4].map(async () => {
      while (!over) {
        const { status, ms } = await get(`${server.url}/quick`, agent);
        assert.equal(status, 200);
        times.push(ms);
      }
    }));
    let longest = 0; // of these, on the wall: what one slice is on a machine that others use, too
    for (const name of ['endless_loop', 'loop_in_pcall', 'table_bomb', 'pattern', 'deep_recursion']) {
      const enough = times.length + 20; // each runaway meets others that are served already
      while (times.length < enough) await new Promise(setImmediate);
      const answer = await get(`${server.url}/runaway/${name}`);
      longest = Math.max(longest, answer.ms);
      ends(answer);
    }
    over = true;
    await others;
    agent.destroy();
    times.sort((a, b) => a - b);
    const worst = times.at(-1);
    assert.ok(worst < longest + SLICE + 100 * SLOW, `the slowest of ${times.length} took ${worst} ms, a runaway ${longest} ms`);
  });
});

describe('the other workers', () => {
  test('notice nothing', async () => {
    const server = await startServer(...APP, '--workers', '2');
    try {
      // as many endless loops as it takes for one worker to be busy all the time; the kernel spreads connections
      const times = [];
      const loops = Array.from({ length: 6 }, () => get(`${server.url}/runaway/loop_in_pcall`).then(ends));
      let over = false;
      Promise.allSettled(loops).then(() => (over = true));
      while (!over) times.push((await get(`${server.url}/quick`)).ms);
      await Promise.all(loops);
      assert.ok(times.length > 0);
    } finally {
      await server.stop();
    }
  });
});

describe('production', () => {
  test('tells the id only', async () => {
    const server = await startServer(...APP, '--set', 'mode=production');
    try {
      const { status, body } = await get(`${server.url}/runaway/endless_loop`);
      const { error } = JSON.parse(body);
      assert.equal(status, 500);
      assert.equal(error.message, 'The server made a mistake.');
      await within(5_000, logged(server, error.requestId), 'the request id in the log'); // it is written by another thread
      assert.match(server.log(), /app\.lua:\d+: the script ran for more than/);
    } finally {
      await server.stop();
    }
  });
});

describe('what cannot be interrupted', () => {
  test('ends the process, and the log says where', async () => {
    // script_jit = on: a compiled loop does not see the hook; this is what script_hard is for
    const server = await startServer(...APP, '--set', 'script_jit=on', '--set', 'script_hard=500ms');
    await assert.rejects(get(`${server.url}/runaway/hot_loop`));
    await assert.rejects(server.stop(), /ended with SIGABRT/);
    assert.match(server.log(), /cannot be interrupted .*request r-[0-9a-f]+ at app\.lua:\d+; the process is aborted/);
  });
});
