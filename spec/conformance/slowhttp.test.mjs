// slowhttptest (Debian) for a few seconds in each of its modes: a client that behaves gets every answer meanwhile, and the server
// lets go of attackers by itself. `./dev soak slowhttp` is the long form, with figures.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { quiet } from '../bench/support/process.mjs';
import { SLOW, startServer } from '../e2e/support/server.mjs';
import { MODES, measure } from '../soak/slowhttp.mjs';

let server;
before(async () => {
  const limits = ['head_timeout=1s', 'request_timeout=3s', 'idle_timeout=60s', 'body_rate=512B', 'max_requests_per_connection=0'];
  server = await startServer(...limits.flatMap((one) => ['--set', one]));
});
after(() => server?.stop());

for (const mode of Object.keys(MODES)) {
  test(mode, async (context) => {
    const result = await measure(server, mode, { connections: 100, rate: 100, seconds: 6 * SLOW });
    context.diagnostic(`${result.answers} answers, p50 ${result.p50} ms, p99 ${result.p99} ms, longest ${result.max} ms; ${result.end}`);
    assert.ok(result.answers > 20, 'answers came all the time');
    assert.equal(result.unavailable, false);
    // It may go on reading as slowly as it likes: that costs the server no more than a descriptor and what the kernel holds.
    if (mode !== 'slow read') assert.match(result.end, /No open connections left/, JSON.stringify(result));
  });
}

test('nothing is left of them', () => quiet(server, 30 * SLOW));
