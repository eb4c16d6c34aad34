// The application in spec/support/clients, asked by tests of the clients.

import assert from 'node:assert/strict';
import path from 'node:path';

import { REPO, startServer } from '../e2e/support/server.mjs';

export async function startClients(upstreams, ...more) {
  const settings = ['app=' + path.join(REPO, 'spec/support/clients'), 'plugins_enabled=elasticsearch,graphql', 'tts=', 'script_slice=1min'];
  for (const [key, value] of Object.entries(upstreams)) settings.push(`upstreams.${key}=${value}`);
  const server = await startServer(...settings.flatMap((one) => ['--set', one]), '--workers', '1', ...more);
  const post = async (target, body) => {
    const answer = await fetch(server.url + target, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
    const text = await answer.text();
    assert.equal(answer.status, 200, text);
    return JSON.parse(text);
  };
  const ledger = async () => (await (await fetch(server.url + '/memory')).json()).ledger;
  return {
    ...server,
    post,
    ledger,
    /** What the method of the Elasticsearch client gives: {result, problem, more}. */
    call: (method, ...args) => post(`/search/${method}`, args),
    /** Fails unless all that requests and transfers held is gone. */
    async settled() {
      const { byKind, inFlight, handles } = await ledger();
      for (const kind of ['transfer', 'script']) assert.deepEqual([kind, byKind[kind].count, byKind[kind].bytes], [kind, 0, 0]);
      assert.equal(inFlight, 0);
      return { byKind, handles };
    },
  };
}
