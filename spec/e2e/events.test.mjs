// Streams of events that a script makes (req:events), met by npm's EventSource: it comes again by itself, says what it had
// last, and misses nothing.

import assert from 'node:assert/strict';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { EventSource } from 'eventsource';

import { call } from './support/client.mjs';
import { REPO, ledgerAtZero, startServer, within } from './support/server.mjs';
import { makeApp, succession } from './support/succession.mjs';
import { makeCertificates, startSecureServer, until } from './support/tls.mjs';

const APP = ['--set', `app=${path.join(REPO, 'spec/support/answers')}`];

describe('an EventSource', () => {
  let server;
  before(async () => (server = await startServer(...APP)));
  after(() => server?.stop());
  afterEach(() => ledgerAtZero(server));

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

/** Text of a stream as it came, and whether it came to its end: {text, whole}. `opened` when its first bytes are there. */
function readStream(url, opened) {
  return new Promise((resolve, reject) => {
    const { get } = url.startsWith('https:') ? https : http;
    get(url, { agent: false, rejectUnauthorized: false }, (response) => {
      let text = '';
      response.once('data', opened);
      response.setEncoding('utf8').on('data', (part) => (text += part)).on('error', () => {});
      response.on('close', () => resolve({ text, whole: response.complete }));
    }).on('error', reject);
  });
}

const kinds = {
  'in the clear': { start: startServer },
  'with TLS': { start: (...args) => startSecureServer(makeCertificates('alpha'), ['alpha'], ...args) },
};

for (const [kind, { start }] of Object.entries(kinds)) {
  describe(`a server that drains, ${kind}`, () => {
    before(() => (process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0')); // EventSource knows no other way to trust our certificate
    after(() => delete process.env.NODE_TLS_REJECT_UNAUTHORIZED);

    test('ends a stream in time, and the client means to come again', async () => {
      const first = await start(...APP, '--set', 'drain=30s');
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

    test('says when to come again, and ends the stream whole; one of a dialogue, too', async () => {
      const server = await start('--workers', '4', '--set', 'drain=30s');
      const { json } = await call(server, 'POST', '/api/voice/converse', { body: '{"text":"hello"}', headers: { 'Content-Type': 'application/json' } });
      let opened = 0;
      const streams = Array.from({ length: 8 }, () => // with four workers some of them are moved
        readStream(`${server.url}/api/voice/open-stream?dialogueId=${json.dialogueId}&follow=1`, () => ++opened));
      await until(() => opened === streams.length);
      const stopped = server.stop();
      for (const { text, whole } of await within(20_000, Promise.all(streams), 'the ends')) {
        assert.match(text, /retry: \d+\n/);
        assert.ok(whole, 'an end, no cut');
      }
      await stopped;
    });

    test('finds its clients again as the new process of an upgrade', () => {
      const app = makeApp();
      const serve = (word) => app.write(`app:get('/who', function(req)
  local events = req:events { retry = 20, heartbeat = '100ms' }
  events:send { event = 'who', data = { word = '${word}' } }
  events:wait()
end)\n`);
      serve('old');
      return succession(['-c', app.configure(2)], async (server, next) => {
        const heard = [];
        const sources = Array.from({ length: 10 }, (_, i) => {
          const source = new EventSource(`${server.url}/who`);
          source.addEventListener('who', ({ data }) => (heard[i] = [...(heard[i] ?? []), JSON.parse(data).word]));
          return source;
        });
        const everybody = (words) => until(() => sources.every((_, i) => String(heard[i]) === words));
        try {
          await within(20_000, everybody('old'), 'the old one');
          serve('new');
          await next();
          await within(20_000, everybody('old,new'), `the new one: ${JSON.stringify(heard)}`);
        } finally {
          sources.forEach((source) => source.close());
        }
      }, start);
    });
  });
}
