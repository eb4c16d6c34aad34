// A spoken answer from the question to the last sentence, as clients meet it: INTERFACES.md and the clients of the
// original system, with npm's EventSource where it matters that we did not write the client.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { EventSource } from 'eventsource';

import { ask, assertConsecutive, call, lastStatus, logged, named, openStream, place, post, readTurn, streamPath,
  wavSamples } from './support/client.mjs';
import { ledgerAtZero, startServer, within } from './support/server.mjs';

const PLANK = 'How do I do a plank?';
const EVENTS = ['ping', 'textChunk', 'sources', 'audioChunk', 'done', 'complete', 'gap', 'dropped'];

let server;
before(async () => (server = await startServer()));
after(async () => {
  if (server) await ledgerAtZero(server, 30_000); // once: the graces are the real ones here
  await server?.stop();
});

const interrupt = (id, data = {}) => post(server, `/api/voice/dialogues/${id}/interrupt`, data);
const remove = (id) => call(server, 'DELETE', `/api/voice/dialogues/${id}`);
const textsOf = (events, role) => named(events, 'textChunk').filter((e) => e.data.role === role).map((e) => e.data.text).join('');

/** What every whole answer must be. */
function assertAnswer(events, question) {
  assert.deepEqual(events[0].data, { role: 'user', text: question }, 'the question is echoed first');
  const chunks = named(events, 'audioChunk');
  assert.ok(chunks.length > 0, 'something is spoken');
  chunks.forEach((chunk, i) => {
    assert.equal(chunk.data.chunkIndex, i + 1, 'chunks are numbered from 1 without gaps');
    assert.equal(chunk.data.mime, 'audio/wav');
    assert.equal(chunk.data.isFinal, i === chunks.length - 1, `isFinal of chunk ${i + 1}`);
    assert.equal(chunk.data.seq, place(chunk)[1], 'seq is the second half of the id');
    assert.ok(wavSamples(chunk.data.audio) > 0);
  });
  assert.equal(chunks.map((chunk) => chunk.data.text).join(''), textsOf(events, 'assistant'), 'what is heard is what is read');
  const [done, complete] = events.slice(-2);
  assert.deepEqual([done.name, complete.name], ['done', 'complete']);
  assert.equal(done.data.status, 'completed');
  assert.equal(typeof done.data.processing_metrics, 'object');
  assert.deepEqual(complete.data, done.data);
}

/**
 * A dialogue caught in the middle of its answer, its stream open, when `act` is done to it. Speech is quick: other
 * questions keep the voice busy, and should the answer be over first after all, it is tried again.
 */
async function midAnswer(act, text = 'How do I do a push-up?') {
  for (let attempt = 1; attempt <= 10; attempt++) {
    const busy = await Promise.all(Array.from({ length: 12 }, (_, i) => ask(server, `Tell me about the squat, please (${attempt}.${i})`)));
    const { dialogueId } = await ask(server, `${text} (${attempt})`);
    const stream = await openStream(server, dialogueId);
    const result = await act(dialogueId, stream);
    assert.ok(await within(15_000, stream.ended, 'the end of the stream'), 'the stream ends, it does not break');
    await Promise.all(busy.map(({ dialogueId: id }) => remove(id)));
    const events = logged(stream.events);
    if (lastStatus(events) !== 'completed') return { dialogueId, events, result };
    await remove(dialogueId);
  }
  return assert.fail('ten answers were over before they could be interrupted');
}

describe('one question', () => {
  test('the stream opens with the reconnect time and a ping, then tells everything in order', async () => {
    const { dialogueId } = await ask(server, PLANK);
    const stream = await openStream(server, dialogueId);
    assert.equal(stream.status, 200);
    assert.match(stream.headers['content-type'], /^text\/event-stream/);
    assert.match(stream.headers['cache-control'], /no-cache|no-store/);
    assert.ok(await within(30_000, stream.ended, 'the end of the stream'));

    const first = stream.events.findIndex((event) => event.name === 'ping');
    assert.equal(stream.events.findIndex((event) => event.data && event.name !== 'ping') > first, true, 'ping comes first');
    assert.equal(stream.events.slice(0, first + 1).find((event) => event.retry)?.retry, 500);
    for (const ping of named(stream.events, 'ping')) assert.equal(ping.id, null, 'a ping bears no id');

    const events = logged(stream.events);
    assertConsecutive(events, 1, 1);
    assertAnswer(events, PLANK);
  });

  test('the answer is about planks and names its source and its picture', async () => {
    const { dialogueId } = await ask(server, PLANK);
    const { events } = await readTurn(server, dialogueId);
    const [source] = named(events, 'sources')[0].data.records;
    assert.equal(source.name, 'Plank');
    assert.match(source.media, /^\/media\/[^/]+\.gif$/);
    assert.match(textsOf(events, 'assistant'), /plank/i);
    assert.match(textsOf(events, 'assistant'), /forearms/i);
    const picture = await call(server, 'GET', source.media);
    assert.equal(picture.status, 200);
    assert.match(picture.headers['content-type'], /^image\/gif/);
    assert.equal(picture.text.slice(0, 6), 'GIF89a');
  });

  test("npm's EventSource hears all of it, and stops when its reconnect is answered 204", async () => {
    const { dialogueId } = await ask(server, PLANK);
    const source = new EventSource(server.url + streamPath(dialogueId));
    const events = [];
    for (const name of EVENTS) {
      source.addEventListener(name, (event) => events.push({ name, id: event.lastEventId, data: JSON.parse(event.data) }));
    }
    const stopped = new Promise((resolve) => {
      source.addEventListener('error', (error) => source.readyState === EventSource.CLOSED && resolve(error));
    });
    const error = await within(30_000, stopped, 'EventSource to stop').finally(() => source.close());
    assert.equal(error.code, 204);
    const told = logged(events);
    assertConsecutive(told, 1, 1);
    assertAnswer(told, PLANK);
  });

  test('opened a second after the question, the stream still begins at the beginning', async () => {
    const { dialogueId } = await ask(server, PLANK);
    await pause(1000);
    const { events } = await readTurn(server, dialogueId);
    assertConsecutive(events, 1, 1);
    assertAnswer(events, PLANK);
  });

  test('userInput is another name for text', async () => {
    const { dialogueId } = await ask(server, { userInput: 'How do I do a lunge?' });
    const { events } = await readTurn(server, dialogueId);
    assertAnswer(events, 'How do I do a lunge?');
  });
});

describe('resuming', () => {
  test('a connection cut in the middle loses nothing and doubles nothing', async () => {
    const { dialogueId } = await ask(server, PLANK);
    const stream = await openStream(server, dialogueId);
    await stream.until((event) => event.data?.chunkIndex === 2, 'the second audioChunk');
    stream.cut();
    const all = logged(stream.events);
    const heard = all.slice(0, all.findIndex((event) => event.data.chunkIndex === 2) + 1);
    const { events: rest } = await readTurn(server, dialogueId, { lastEventId: heard.at(-1).id });
    assertConsecutive([...heard, ...rest], 1, 1);
    assertAnswer([...heard, ...rest], PLANK);
  });

  test('the tail can be asked for once more after the end, while it lingers', async () => {
    const { dialogueId } = await ask(server, PLANK);
    const { events } = await readTurn(server, dialogueId);
    const last = events.at(-3);
    const { events: tail } = await readTurn(server, dialogueId, { lastEventId: last.id });
    assert.deepEqual(tail, events.slice(-2));
    assert.equal((await call(server, 'GET', streamPath(dialogueId), { headers: { 'Last-Event-ID': events.at(-1).id } })).status, 204);
  });

  for (const lastEventId of ['nonsense', '99.1', '1.999999', '-1.-1', '1.', '1.2.3', '99999999999999999999.1']) {
    test(`Last-Event-ID "${lastEventId}" is answered with a gap, then with what is kept`, async () => {
      const { dialogueId } = await ask(server, { text: `How do I do a plank? (${lastEventId})` });
      const stream = await openStream(server, dialogueId, { lastEventId });
      assert.equal(stream.status, 200);
      await within(30_000, stream.ended, 'the end of the turn');
      const told = stream.events.filter((event) => event.data && event.name !== 'ping');
      assert.equal(told[0].name, 'gap');
      assert.equal(typeof told[0].data.from, 'number');
      assert.equal(typeof told[0].data.to, 'number');
      assertConsecutive(logged(stream.events), 1, 1);
      assert.equal(lastStatus(stream.events), 'completed');
    });
  }
});

describe('a conversation', () => {
  test('the next question on the same dialogue is its second epoch, and seq goes on', async () => {
    const { dialogueId } = await ask(server, PLANK);
    const { events: first } = await readTurn(server, dialogueId);
    const again = await ask(server, { text: 'And how do I do a squat?', dialogueId });
    assert.equal(again.dialogueId, dialogueId);
    const { events: second } = await readTurn(server, dialogueId);
    assertConsecutive(second, 2, place(first.at(-1))[1] + 1);
    assertAnswer(second, 'And how do I do a squat?');
    assert.equal(named(second, 'sources')[0].data.records[0].name, 'Squat');
  });

  test('a question asked while an answer runs interrupts it', async () => {
    const { dialogueId, events } = await midAnswer(async (id, stream) => {
      await stream.until((event) => event.name === 'textChunk', 'the echo');
      await ask(server, { text: PLANK, dialogueId: id });
    });
    assertConsecutive(events, 1, 1);
    assert.deepEqual(events.slice(-2).map((event) => event.name), ['done', 'complete']);
    assert.equal(lastStatus(events), 'cancelled');
    const { events: second } = await readTurn(server, dialogueId);
    assert.equal(place(second[0])[0], 2);
    assertAnswer(second, PLANK);
  });

  test('interrupt says what was dropped and heard; the dialogue lives', async () => {
    const { dialogueId, events, result } = await midAnswer(async (id, stream) => {
      await stream.until((event) => event.name === 'textChunk', 'the echo');
      return interrupt(id, { playedMs: 100 });
    });
    assert.equal(result.status, 200, result.text);
    const { dropped, heard } = result.json;
    assert.deepEqual([typeof dropped.events, typeof dropped.bytes, typeof heard.ms, typeof heard.text], ['number', 'number', 'number', 'string']);
    assert.equal(lastStatus(events), 'cancelled');
    await ask(server, { text: PLANK, dialogueId });
    const { events: second } = await readTurn(server, dialogueId);
    assertAnswer(second, PLANK);
  });

  test('follow=1 stays open across turns', async () => {
    const { dialogueId } = await ask(server, PLANK);
    const stream = await openStream(server, dialogueId, { more: '&follow=1' });
    const epochOf = (event) => Number(event.id?.split('.')[0]);
    await stream.until((event) => event.name === 'complete', 'the first answer');
    await ask(server, { text: 'How do I do a lunge?', dialogueId });
    await stream.until((event) => event.name === 'complete' && epochOf(event) === 2, 'the second answer');
    assert.equal(stream.closed, false);
    const events = logged(stream.events);
    assert.deepEqual(events.map((event) => place(event)[1]), events.map((_, i) => i + 1), 'seq counts through both turns');
    assertAnswer(events.filter((event) => epochOf(event) === 1), PLANK);
    assertAnswer(events.filter((event) => epochOf(event) === 2), 'How do I do a lunge?');
    stream.cut();
  });

  test('the ninth listener is refused with 429', async () => {
    const { dialogueId } = await ask(server, PLANK);
    const streams = await Promise.all(Array.from({ length: 8 }, () => openStream(server, dialogueId, { more: '&follow=1' })));
    assert.deepEqual(streams.map(({ status }) => status), Array(8).fill(200));
    // the dialogue may be another worker's: who is greeted has got there
    await Promise.all(streams.map((stream) => stream.until((event) => event.name === 'ping', 'the greeting')));
    const ninth = await call(server, 'GET', streamPath(dialogueId, '&follow=1'));
    assert.equal(ninth.status, 429);
    assert.match(ninth.json.error.code, /^[a-z_]+$/);
    await Promise.all(streams.map((stream) => stream.until((event) => event.name === 'complete', 'the answer')));
    for (const stream of streams) assertAnswer(logged(stream.events), PLANK);
    for (const stream of streams) stream.cut();
    await remove(dialogueId);
  });
});

describe('the end of a dialogue', () => {
  test('DELETE cancels the answer at once and ends its stream', async () => {
    const { dialogueId, events, result } = await midAnswer(async (id, stream) => {
      await stream.until((event) => event.name === 'textChunk', 'the echo');
      return remove(id);
    });
    assert.equal(result.status, 204);
    assert.equal(lastStatus(events), 'cancelled');
    assert.deepEqual(events.slice(-2).map((event) => event.name), ['done', 'complete']);
    assert.equal((await call(server, 'GET', streamPath(dialogueId))).status, 204, 'an EventSource that reconnects must stop');
    assert.equal((await post(server, '/api/voice/converse', { text: PLANK, dialogueId })).status, 404);
  });

  test('an unknown dialogue is 404 everywhere and never comes into being', async () => {
    const unknown = 'voice-dialogue-1700000000000-abcdef';
    const answers = [
      await post(server, '/api/voice/converse', { text: PLANK, dialogueId: unknown }),
      await remove(unknown),
      await interrupt(unknown),
      await call(server, 'GET', streamPath(unknown)),
      await call(server, 'GET', streamPath(unknown, '&follow=1')),
    ];
    for (const { status, json } of answers) {
      assert.equal(status, 404);
      assert.match(json.error.code, /^[a-z_]+$/);
    }
  });
});

describe('the same question twice', () => {
  test('with one Idempotency-Key it is one dialogue and one reply', async () => {
    const key = `key-${process.pid}`;
    const first = await ask(server, PLANK, { 'Idempotency-Key': key });
    const atOnce = await ask(server, PLANK, { 'Idempotency-Key': key });
    await pause(400); // longer than the window for clients without a key
    const later = await ask(server, PLANK, { 'Idempotency-Key': key });
    assert.deepEqual([atOnce, later], [first, first]);
    const stranger = await ask(server, PLANK, { 'Idempotency-Key': key, Authorization: 'Bearer somebody-else' });
    assert.notEqual(stranger.dialogueId, first.dialogueId, 'a key is its owner\'s');
    const other = await ask(server, PLANK, { 'Idempotency-Key': `${key}-2` });
    assert.notEqual(other.dialogueId, first.dialogueId, 'another key is another question, however soon');
  });

  test('17 ms apart and without a key it is one dialogue; another body is another', async () => {
    const headers = { 'User-Agent': 'double/1' };
    const first = ask(server, 'How do I do a burpee?', headers);
    await pause(17);
    const [one, two] = await Promise.all([first, ask(server, 'How do I do a burpee?', headers)]);
    assert.deepEqual(two, one);
    const other = await ask(server, 'How do I do a burpee ?', headers);
    assert.notEqual(other.dialogueId, one.dialogueId);
    const stranger = await ask(server, 'How do I do a burpee?', { 'User-Agent': 'double/2' });
    assert.notEqual(stranger.dialogueId, one.dialogueId);
    const { events } = await readTurn(server, one.dialogueId);
    assertAnswer(events, 'How do I do a burpee?');
  });

  test('later than the window it is asked again', async () => {
    const headers = { 'User-Agent': 'later/1' };
    const one = await ask(server, 'How do I do a pull-up?', headers);
    await pause(400);
    assert.notEqual((await ask(server, 'How do I do a pull-up?', headers)).dialogueId, one.dialogueId);
  });
});

describe('voiceConfig', () => {
  for (const [how, voiceConfig] of [['an object', { enabled: false }], ['a JSON string', '{"enabled":false}']]) {
    test(`enabled:false in ${how} means no speech is made`, async () => {
      const { dialogueId } = await ask(server, { text: PLANK, voiceConfig });
      const { events } = await readTurn(server, dialogueId);
      assert.deepEqual(named(events, 'audioChunk'), []);
      assert.match(textsOf(events, 'assistant'), /plank/i);
      assert.equal(lastStatus(events), 'completed');
      assertConsecutive(events, 1, 1);
    });
  }

  test('enabled:true in a JSON string, as the original\'s clients send it, is spoken', async () => {
    const voiceConfig = JSON.stringify({ engine: 'espeak', enabled: true, speed: 1 });
    const { dialogueId } = await ask(server, { text: PLANK, voiceConfig, processing_mode: 'rag', model: 'parallel' });
    const { events } = await readTurn(server, dialogueId);
    assertAnswer(events, PLANK);
  });
});
