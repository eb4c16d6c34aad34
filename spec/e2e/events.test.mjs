// Streams of events that a script makes (req:events), met by npm's EventSource: it comes again by itself, says what it had
// last, and misses nothing.

import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { EventSource } from 'eventsource';

import { REPO, startServer, within } from './support/server.mjs';

const APP = ['--set', `app=${path.join(REPO, 'spec/support/answers')}`];

describe('an EventSource', () => {
  let server;
  before(async () => (server = await startServer(...APP)));
  after(() => server?.stop());

  test('hears every event once, over twenty connections', async () => {
    const source = new EventSource(`${server.url}/count`); // the script breaks off after each fifth event
    const ids = [];
    let connections = 0;
    source.addEventListener('open', () => connections++);
    const all = new Promise((resolve) => {
      source.addEventListener('tick', (event) => {
        assert.equal(JSON.parse(event.data).n, Number(event.lastEventId));
        ids.push(Number(event.lastEventId));
        if (ids.length === 100) resolve();
      });
    });
    try {
      await within(60_000, all, 'a hundred events');
    } finally {
      source.close();
    }
    assert.deepEqual(ids, Array.from({ length: 100 }, (_, i) => i + 1));
    assert.equal(connections, 20);
  });
});

describe('a server that drains', () => {
  test('ends a stream in time, and the client comes again to the next one', async () => {
    const first = await startServer(...APP, '--set', 'drain=30s');
    const source = new EventSource(`${first.url}/quiet`);
    try {
      await within(20_000, new Promise((resolve) => source.addEventListener('open', resolve)), 'the stream');
      const broken = new Promise((resolve) => source.addEventListener('error', resolve));
      const started = Date.now();
      const ended = first.stop();
      await within(20_000, broken, 'the end of the stream');
      assert.equal(source.readyState, EventSource.CONNECTING, 'it means to come again');
      await ended;
      assert.ok(Date.now() - started < 25_000, 'nobody waited for the end of the drain');
    } finally {
      source.close();
    }
  });
});
