// Streams and large bodies under TLS. With several workers most streams of events are moved to another one, OpenSSL's state and all.

import assert from 'node:assert/strict';
import https from 'node:https';
import { after, afterEach, before, describe, test } from 'node:test';
import path from 'node:path';
import { EventSource } from 'eventsource';

import { ask, assertConsecutive, call, lastStatus, logged, named, openStream, streamPath } from './support/client.mjs';
import { REPO, SLOW, ledgerAtZero, within } from './support/server.mjs';
import { makeApp } from './support/succession.mjs';
import { connect, exchange, makeCertificates, startSecureServer, until } from './support/tls.mjs';

const times = (count, make) => Promise.all(Array.from({ length: count }, (_, i) => make(i)));

for (const version of ['TLSv1.2', 'TLSv1.3']) {
  describe(`dialogues over ${version}, four workers`, () => {
    let server;
    before(async () => {
      const soon = ['first_listener_grace', 'reconnect_grace', 'linger'].flatMap((key) => ['--set', `${key}=${3 * SLOW}s`]);
      server = await startSecureServer(makeCertificates('alpha'), ['alpha'], '--workers', '4', ...soon);
      server.tls = { ...server.tls, minVersion: version, maxVersion: version };
    });
    after(() => server?.stop());
    afterEach(() => ledgerAtZero(server));

    test('a stream can be opened from anywhere', async () => {
      let moved = 0;
      await times(24, async (i) => {
        const { dialogueId } = await ask(server, `How do I do a plank? (${i})`);
        const stream = await openStream(server, dialogueId);
        assert.equal(stream.status, 200);
        if (stream.headers.connection === 'upgrade') ++moved;
        await within(40_000 * SLOW, stream.ended, 'the turn');
        assertConsecutive(logged(stream.events), 1, 1);
        assert.equal(lastStatus(stream.events), 'completed');
        assert.equal((await call(server, 'GET', streamPath(dialogueId))).status, 204);
      });
      assert.ok(moved > 4, `${moved} of 24 were moved`);
    });

    test('a stream that was cut goes on after its last event', async () => {
      await times(12, async (i) => {
        const { dialogueId } = await ask(server, `And a squat? (again ${i})`);
        const first = await openStream(server, dialogueId);
        await first.until(({ name }) => name === 'audioChunk', 'some speech', 30_000);
        first.cut();
        const had = logged(first.events);
        const rest = await openStream(server, dialogueId, { lastEventId: had.at(-1).id });
        if (rest.status === 204) return;
        await within(30_000, rest.ended, 'the rest of the turn');
        assert.equal(named(rest.events, 'gap').length, 0);
        assertConsecutive([...had, ...logged(rest.events)], 1, 1);
      });
    });

    test('whoever follows hears every turn, wherever it is asked', async () => {
      await times(8, async (i) => {
        const { dialogueId } = await ask(server, `Tell me about the lunge. (followed ${i})`);
        const stream = await openStream(server, dialogueId, { more: '&follow=1' });
        for (let turn = 1; turn <= 4; ++turn) {
          await stream.until(() => named(stream.events, 'complete').length >= turn, `turn ${turn}'s end`, 40_000);
          if (turn < 4) await ask(server, { text: `And push ups? (${i}, ${turn})`, dialogueId });
        }
        stream.cut();
      });
    });

    test("npm's EventSource reads a turn, and what is left behind is nothing", async () => {
      process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'; // it uses fetch, which knows no other way to trust our certificate
      try {
        await times(8, async (i) => {
          const { dialogueId } = await ask(server, `What about push ups? (source ${i})`);
          const source = new EventSource(server.url + streamPath(dialogueId));
          const done = new Promise((resolve) => source.addEventListener('complete', (event) => resolve(JSON.parse(event.data))));
          assert.equal((await within(40_000, done, 'the turn')).status, 'completed');
          source.close();
        });
      } finally {
        delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
      }
      const ledger = async () => (await call(server, 'GET', '/api/health/memory')).json.ledger;
      let last;
      await until(() => {
        ledger().then((now) => (last = now), () => {});
        return last && ['dialogue', 'turn', 'listener'].every((kind) => last.byKind[kind].count === 0) && last.inFlight === 0;
      });
      for (const kind of ['dialogue', 'turn', 'listener']) assert.equal(last.byKind[kind].count, 0, kind);
      assert.equal(last.inFlight, 0);
    });
  });
}

test('a moved stream whose client takes nothing is cut by its deadline, and nothing is left of it', async (t) => {
  const app = makeApp(`local function flow(turn) for _ = 1, 400 do turn:push('words', { text = ('x'):rep(60000) }) end end
app:get('/ask', function(req) req:reply { text = voice.ask(req, { text = req.id, flow = flow, context = 0 }).dialogueId } end)
app:get('/listen/:id', function(req) voice.listen(req, req.params.id) end)\n`);
  const server = await startSecureServer(makeCertificates('alpha'), ['alpha'], '-c', app.configure(4), '--set', 'listener_stall=500ms',
    '--set', 'slow_listener_wait=1min', '--set', 'reconnect_grace=100ms', '--set', 'linger=100ms', '--set', 'duplicate_window=0s');
  t.after(() => server.stop());
  const cuts = () => server.log().match(/cut, 127\.0\.0\.1 took nothing for 500 ms/g)?.length ?? 0;
  const sockets = await times(12, async () => {
    const { text: id } = await call(server, 'GET', '/ask');
    const socket = await connect(server);
    const head = await exchange(socket, `GET /listen/${id} HTTP/1.1\r\nHost: x\r\n\r\n`, (got) => got.includes('\r\n\r\n'));
    socket.pause();
    return { socket, moved: /connection: upgrade/i.test(head) };
  });
  assert.ok(sockets.filter(({ moved }) => moved).length > 2, 'some of them are moved');
  await until(() => cuts() === sockets.length);
  assert.equal(cuts(), sockets.length, server.log());
  sockets.forEach(({ socket }) => socket.on('error', () => {}).destroy());
  await ledgerAtZero(server);
});

describe('large bodies', () => {
  let server;
  before(async () => {
    server = await startSecureServer(makeCertificates('alpha'), ['alpha'], '--set', `app=${path.join(REPO, 'spec/support/bodies')}`,
      '--set', 'send_stall=1s');
  });
  after(() => server?.stop());
  afterEach(() => ledgerAtZero(server));

  const upload = (body, headers = {}) => new Promise((resolve, reject) => {
    const request = https.request(`${server.url}/raw`, { method: 'POST', agent: false, ...server.tls, headers }, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part)).on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode, text: Buffer.concat(parts).toString() }));
    });
    request.on('error', reject);
    request.end(body);
  });

  test('uploads of every size around what is read at once arrive whole', async () => {
    for (let size = 1; size <= 900_000; size = size * 3 + 1) {
      for (const length of [size, size - 29, size + 4096]) {
        if (length < 1) continue;
        const { status, text } = await within(20_000, upload(Buffer.alloc(length, 'x'), { 'Content-Length': length }), `${length} bytes`);
        assert.equal(status, 200, text);
      }
    }
  });

  test('records that fill the buffers to the byte are no end', async () => {
    // A handshake of its own for each: the free space in h2o's buffer depends on what came before.
    for (let length = 4040; length <= 4110; ++length) {
      const socket = await connect(server);
      const head = 'POST /raw HTTP/1.1\r\nHost: x\r\nContent-Length: 40000\r\n\r\n';
      socket.write(head);
      let left = 40000;
      while (left > 0) {
        const part = Math.min(left, length);
        socket.write(Buffer.alloc(part, 'y'));
        left -= part;
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.match(await exchange(socket, '', (got) => got.includes('\r\n\r\n')), /^HTTP\/1\.1 200 /, `records of ${length}`);
      socket.destroy();
    }
  });

  const BIG = Buffer.alloc(16 * 1024 * 1024, 'abcdefghijklmnopqrstuvwxyz');
  const form = Buffer.concat([Buffer.from('--q\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'), BIG, Buffer.from('\r\n--q--\r\n')]);
  const mirror = (take) => new Promise((resolve, reject) => {
    const headers = { 'Content-Type': 'multipart/form-data; boundary=q', 'Content-Length': form.length };
    const request = https.request(`${server.url}/mirror`, { method: 'POST', agent: false, ...server.tls, headers }, (response) => take(response, resolve));
    request.on('error', reject);
    request.end(form);
  });

  test('a large answer comes whole', async () => {
    const got = mirror((response, resolve) => {
      const parts = [];
      response.on('data', (part) => parts.push(part)).on('end', () => resolve(Buffer.concat(parts)));
    });
    assert.ok((await within(30_000, got, 'the file')).equals(BIG));
  });

  test('a client that takes nothing of it is cut', async () => {
    let reading;
    const cut = mirror((response, resolve) => {
      response.pause(); // and its socket with it, when its buffers are full
      response.on('error', resolve).on('close', resolve);
      reading = response;
    }).catch((error) => assert.equal(error.code, 'ECONNRESET')); // a cut, too: what was left of it to be read
    await until(() => /cut, .* took nothing/.test(server.log()));
    assert.match(server.log(), /cut, 127\.0\.0\.1 took nothing for 1000 ms/);
    reading.resume();
    await within(10_000, cut, 'the cut');
    assert.equal(reading.complete, false);
  });
});
