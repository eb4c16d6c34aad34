// Four workers: whatever is asked of a dialogue may arrive on any of them (every request here has a connection of its own, and the kernel
// spreads them), and the client must not be able to tell. At the end the ledger is where it was.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { ask, assertConsecutive, call, lastStatus, logged, named, openStream, place, post, readTurn, streamPath } from './support/client.mjs';
import { SLOW, ledgerAtZero, startServer, within } from './support/server.mjs';

const QUESTIONS = ['How do I do a plank?', 'And a squat?', 'Tell me about the lunge.', 'What about push ups?'];

let server;
before(async () => {
  const soon = ['first_listener_grace', 'reconnect_grace', 'linger'].flatMap((key) => ['--set', `${key}=${3 * SLOW}s`]);
  server = await startServer('--workers', '4', ...soon);
});
after(() => server?.stop());
afterEach(() => ledgerAtZero(server));

const times = (count, make) => Promise.all(Array.from({ length: count }, (_, i) => make(i)));

/** Waits until the log of a stream has `count` ends of turns. */
const turnsOver = (stream, count) => stream.until(() => named(stream.events, 'complete').length >= count, `turn ${count}'s end`, 40_000);

test('four workers run', async () => {
  const { json } = await call(server, 'GET', '/api/health');
  assert.equal(json.status, 'OK');
});

test('a stream can be opened, and a dialogue deleted, from anywhere', async () => {
  await times(40, async (i) => {
    const { dialogueId } = await ask(server, `${QUESTIONS[i % 4]} (${i})`);
    const { events } = await readTurn(server, dialogueId);
    assertConsecutive(events, 1, 1);
    assert.equal(lastStatus(events), 'completed');
    assert.equal((await call(server, 'GET', streamPath(dialogueId))).status, 204);
    assert.equal((await call(server, 'DELETE', `/api/voice/dialogues/${dialogueId}`)).status, 204);
    assert.equal((await call(server, 'DELETE', `/api/voice/dialogues/${dialogueId}`)).status, 404);
    assert.equal((await call(server, 'GET', streamPath(dialogueId))).status, 204);
  });
});

test('a stream that was cut goes on after its last event, wherever it comes back', async () => {
  await times(20, async (i) => {
    const { dialogueId } = await ask(server, `${QUESTIONS[i % 4]} (again ${i})`);
    const first = await openStream(server, dialogueId);
    await first.until(({ name }) => name === 'audioChunk', 'some speech', 30_000);
    first.cut();
    const had = logged(first.events);
    const lastEventId = had.at(-1).id;
    const rest = await openStream(server, dialogueId, { lastEventId });
    if (rest.status === 204) return; // all of it had arrived
    await within(30_000, rest.ended, 'the rest of the turn');
    assert.equal(named(rest.events, 'gap').length, 0);
    assertConsecutive([...had, ...logged(rest.events)], 1, 1);
  });
});

test('whoever follows hears every turn, whichever worker it is asked on', async () => {
  await times(16, async (i) => {
    const { dialogueId } = await ask(server, `${QUESTIONS[i % 4]} (followed ${i})`);
    const stream = await openStream(server, dialogueId, { more: '&follow=1' });
    assert.equal(stream.status, 200);
    for (let turn = 1; turn <= 5; ++turn) {
      await turnsOver(stream, turn);
      if (turn < 5) await ask(server, { text: `${QUESTIONS[(i + turn) % 4]} (${i})`, dialogueId });
    }
    const events = logged(stream.events);
    events.forEach((event, at) => assert.equal(place(event)[1], at + 1, `the event after ${events[at - 1]?.id}`));
    assert.deepEqual(named(events, 'done').map(({ data }) => [data.turn, data.status]), [1, 2, 3, 4, 5].map((n) => [n, 'completed']));
    assert.equal(named(stream.events, 'gap').length, 0);
    stream.cut();
  });
});

test('a question interrupts the turn before it, whichever worker that runs on', async () => {
  await times(16, async (i) => {
    const { dialogueId } = await ask(server, `${QUESTIONS[i % 4]} (interrupted ${i})`);
    const stream = await openStream(server, dialogueId, { more: '&follow=1' });
    for (let turn = 2; turn <= 6; ++turn) {
      await stream.until(({ name, id }) => name === 'textChunk' && id.startsWith(`${turn - 1}.`), `words of turn ${turn - 1}`, 30_000);
      await ask(server, { text: `${QUESTIONS[(i + turn) % 4]} (${i})`, dialogueId });
    }
    await turnsOver(stream, 6);
    const events = logged(stream.events);
    events.forEach((event, at) => assert.equal(place(event)[1], at + 1, `the event after ${events[at - 1]?.id}`));
    assert.equal(named(events, 'done').length, 6);
    assert.equal(named(events, 'done').at(-1).data.status, 'completed');
    stream.cut();
  });
});

test('an interruption is answered with what was heard, from anywhere', async () => {
  await times(12, async (i) => {
    const { dialogueId } = await ask(server, `${QUESTIONS[i % 4]} (stopped ${i})`);
    const stream = await openStream(server, dialogueId);
    await stream.until(({ name }) => name === 'audioChunk', 'some speech', 30_000);
    const { status, json } = await post(server, `/api/voice/dialogues/${dialogueId}/interrupt`, { playedMs: 300 });
    assert.equal(status, 200);
    assert.ok(json.dropped && json.heard, JSON.stringify(json));
    await within(20_000, stream.ended, 'the end');
    assert.match(lastStatus(logged(stream.events)), /^(cancelled|completed)$/);
  });
});

test('the same question twice at the same moment is one, whichever workers they reach', async () => {
  await times(20, async (i) => {
    const headers = { 'Idempotency-Key': `twice-${i}` };
    const replies = await times(6, () => ask(server, `${QUESTIONS[i % 4]} (double ${i})`, headers));
    assert.equal(new Set(replies.map(({ dialogueId }) => dialogueId)).size, 1);
    const { events } = await readTurn(server, replies[0].dialogueId);
    assert.equal(named(events, 'done').length, 1);
  });
});

test('many questions at once for one dialogue: each is answered, the last one speaks to its end', async () => {
  const { dialogueId } = await ask(server, QUESTIONS[0]);
  const stream = await openStream(server, dialogueId, { more: '&follow=1' });
  const replies = await times(24, (i) => post(server, '/api/voice/converse', { text: `${QUESTIONS[i % 4]} (crowd ${i})`, dialogueId }));
  replies.forEach(({ status, text }) => assert.ok(status === 200 || status === 503, text)); // 503: asked too much at this moment
  assert.ok(replies.filter(({ status }) => status === 200).length >= 12);
  await stream.until(({ name, data }) => name === 'done' && data.status === 'completed', 'the last answer', 40_000);
  const sequence = logged(stream.events).map((event) => place(event)[1]);
  sequence.forEach((seq, at) => assert.ok(at === 0 || seq > sequence[at - 1], 'nothing comes twice or in the wrong order'));
  stream.cut();
});

test('in the end nothing is left', async () => {
  const until = Date.now() + 20_000 * SLOW;
  for (;;) {
    const { byKind, inFlight, handles } = (await call(server, 'GET', '/api/health/memory')).json.ledger;
    const left = ['dialogue', 'turn', 'request', 'listener', 'transfer'].filter((kind) => byKind[kind].bytes || byKind[kind].count);
    if (left.length === 0 && inFlight === 0 && handles === 0) return;
    assert.ok(Date.now() < until, `left: ${left.map((kind) => `${kind} ${JSON.stringify(byKind[kind])}`)}, in flight ${inFlight}, handles ${handles}`);
    await pause(100);
  }
});
