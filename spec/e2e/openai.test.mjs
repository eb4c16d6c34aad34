// Answers worded by a language model and spoken by a speaking service (plugins/llm-openai, plugins/tts-openai), and what becomes of them
// when these fail: support/openai.mjs is both, and does what it is told.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { ask, call, logged, named, openStream, post, readTurn, wavSamples } from './support/client.mjs';
import { ANSWER, mp3, startOpenAI, useOpenAI } from './support/openai.mjs';
import { SLOW, startServer, within } from './support/server.mjs';

const GONE = ['dialogue', 'turn', 'request', 'listener', 'transfer'];
const QUOTED = /^Here is how to do the Plank\. /;
const KEY = 'a-key-that-nobody-must-read';

let service, server;
before(async () => {
  service = await startOpenAI();
  process.env.FA_TEST_KEY = KEY;
  const soon = `${400 * SLOW}ms`;
  const limits = ['llm', 'tts'].flatMap((name) => ['first_byte_timeout', 'idle_timeout'].map((key) => `upstreams.${name}.${key}=${soon}`));
  server = await startServer(...useOpenAI(service.url, ...limits, 'upstreams.llm.breaker_failures=0', 'upstreams.tts.breaker_failures=0',
    'plugins.llm-openai.key_env=FA_TEST_KEY', 'plugins.tts-openai.key_env=FA_TEST_KEY', 'plugins.llm-openai.temperature=0.3',
    'plugins.tts-openai.instructions=Speak calmly.', 'reconnect_grace=1s', 'linger=1s', 'workers=2'));
});
beforeEach(() => {
  Object.assign(service, { chat: 'good', speech: 'good', asked: [] });
});
after(async () => {
  await server?.stop();
  await service?.stop();
});

const textOf = (events) => named(events, 'textChunk').filter((e) => e.data.role === 'assistant').map((e) => e.data.text).join('');
const doneOf = (events) => named(events, 'done')[0].data;

/** A whole turn; it must be completed, and heard as it is read, in order and without holes. */
async function answer(question = 'How do I do a plank?') {
  const { dialogueId } = await ask(server, question);
  const { events } = await readTurn(server, dialogueId);
  const done = doneOf(events);
  assert.equal(done.status, 'completed');
  const chunks = named(events, 'audioChunk');
  chunks.forEach(({ data }, i) => {
    assert.equal(data.chunkIndex, i + 1);
    assert.equal(data.isFinal, i === chunks.length - 1);
  });
  if (question.voiceConfig?.enabled !== false) assert.equal(chunks.map(({ data }) => data.text).join(''), textOf(events));
  return { dialogueId, events, chunks, done, text: textOf(events) };
}

/** The chunks of each piece of text: those behind the first continue it. */
function sentencesOf(chunks) {
  const sentences = [];
  for (const { data } of chunks) {
    if (!data.continues) sentences.push([]);
    else assert.equal(data.text, '');
    sentences.at(-1).push(data);
  }
  return sentences;
}

async function ledger() {
  const { json } = await call(server, 'GET', '/api/health/memory');
  return json.ledger;
}

async function until(test, what, ms = 10_000) {
  const limit = performance.now() + ms * SLOW;
  for (let value; !(value = await test()); await pause(5)) assert.ok(performance.now() < limit, `waited for ${what}`);
}

const nothingLeft = () => until(async () => {
  const { byKind, inFlight } = await ledger();
  return GONE.every((kind) => !byKind[kind] || (byKind[kind].bytes === 0 && byKind[kind].count === 0)) && !/[1-9]/.test(JSON.stringify(inFlight));
}, 'the ledger to be at zero');

describe('what is asked and what is given', () => {
  test('the answer is the model\'s, spoken by the service, byte for byte', async () => {
    const { chunks, done, text, events } = await answer();
    assert.equal(text, ANSWER);
    assert.ok(named(events, 'sources')[0].data.records.length > 0);
    const sentences = sentencesOf(chunks);
    for (const parts of sentences) {
      const length = parts[0].text.trim().length;
      assert.ok(length < 10 || parts.length > 1);
      assert.deepEqual(Buffer.concat(parts.map(({ audio }) => Buffer.from(audio, 'base64'))), mp3(60 * length));
      assert.equal(parts.reduce((sum, { durationMs }) => sum + durationMs, 0), 24 * Math.ceil((60 * length) / 24));
      for (const { audio, mime, durationMs, samples, voice, fallback } of parts) {
        assert.deepEqual([mime, voice, fallback], ['audio/mpeg', 'alloy', undefined]);
        assert.equal(Buffer.from(audio, 'base64').length, 192 * durationMs / 24, 'whole frames');
        assert.equal(samples, 24 * durationMs);
      }
      assert.ok(parts.slice(0, -1).every(({ durationMs }) => durationMs === 504), 'half a second, up to the end of a frame');
    }
    assert.deepEqual(done.services, { llm: { asked: 'openai', by: 'openai' }, tts: { asked: 'openai', pieces: sentences.length, by_fallback: 0 } });
    assert.equal(done.processing_metrics.audio_bytes, chunks.reduce((sum, { data }) => sum + Buffer.from(data.audio, 'base64').length, 0));
  });

  test('the request holds the records, the history and the settings', async () => {
    const { dialogueId, text } = await answer();
    const { dialogueId: same } = await ask(server, { dialogueId, text: 'And for how long?' });
    assert.equal(same, dialogueId);
    await readTurn(server, dialogueId);
    const { path, headers, body } = service.of('chat')[1];
    assert.equal(path, '/v1/chat/completions');
    assert.equal(headers.authorization, `Bearer ${KEY}`);
    assert.deepEqual([body.model, body.stream, body.max_tokens, body.temperature], ['gpt-4o-mini', true, 400, 0.3]);
    assert.deepEqual(body.messages.map(({ role }) => role), ['system', 'user', 'assistant', 'user']);
    assert.equal(body.messages[2].content, text);
    assert.equal(body.messages[3].content, 'And for how long?');
    assert.match(service.of('chat')[0].body.messages[0].content, /Records:\n\nExercise: Plank\n[^]*Steps: .*forearms/);
    const speech = service.of('speech')[0];
    assert.deepEqual([speech.path, speech.headers.authorization], ['/v1/audio/speech', `Bearer ${KEY}`]);
    assert.deepEqual({ ...speech.body, input: undefined },
      { model: 'gpt-4o-mini-tts', voice: 'alloy', instructions: 'Speak calmly.', response_format: 'mp3', input: undefined });
    assert.ok(!server.log().includes(KEY), 'no secret in the log');
  });

  test('voice and speed are the client\'s, a voice that the service lacks is the default one', async () => {
    for (const [voice, speed, expected] of [['nova', 1.25, ['nova', 1.25]], ['en-GB-RyanNeural', 9, ['alloy', 4]]]) {
      service.asked = [];
      await answer({ text: `How do I do a plank? ${voice}`, voiceConfig: { voice_id: voice, speed } });
      assert.deepEqual(service.of('speech').map(({ body }) => [body.voice, body.speed])[0], expected);
    }
  });

  test('words only: no speech is asked for', async () => {
    const { chunks } = await answer({ text: 'How do I do a plank? Quietly.', voiceConfig: { enabled: false } });
    assert.equal(chunks.length, 0);
    assert.equal(service.of('speech').length, 0);
  });

  test('split at every byte, also in the middle of a character', async () => {
    service.chat = 'split';
    service.speech = 'split';
    const { text, chunks } = await answer();
    assert.equal(text, ANSWER);
    for (const { data } of chunks) assert.equal(data.durationMs, 24);
  });

  test('what the model thinks, and tools that it wants, are not said', async () => {
    service.chat = 'thinking';
    assert.equal((await answer()).text, 'Lie down. < 5 minutes are enough.');
  });

  test('speech never becomes a text of Lua', async () => {
    const copied = async () => {
      const { json } = await call(server, 'GET', '/api/health/memory');
      const { copiedBytes } = json.scripts ?? json.ledger.scripts;
      assert.ok(copiedBytes >= 0);
      return copiedBytes;
    };
    const asking = async (question) => {
      const before = await copied();
      const { done } = await answer(question);
      return { bytes: (await copied()) - before, audio: done.processing_metrics.audio_bytes };
    };
    await asking('How do I do a plank? First.');
    const quiet = await asking({ text: 'How do I do a plank? Quiet.', voiceConfig: { enabled: false } });
    const spoken = await asking('How do I do a plank? Aloud.');
    assert.ok(spoken.audio > 50_000);
    assert.ok(Math.abs(spoken.bytes - quiet.bytes) < spoken.audio / 10, `${spoken.bytes} and ${quiet.bytes} bytes were copied`); // the words of its events, the reports' own
  });

  test('an answer without end ends at max_text, and the service is told', async () => {
    service.chat = 'endless';
    const { text, done } = await answer();
    assert.equal(Buffer.byteLength(text), 8192);
    assert.equal(done.services.llm.by, 'openai');
    await until(() => service.of('chat')[0].closed, 'the service to see the end');
  });
});

describe('a language model that fails', () => {
  const early = { hang: 'timeout', garbage: 'garbage', page: 'cut', huge: 'too_large', broken: 'service_error', silent: 'empty', poison: 'status' };
  for (const [mode, code] of Object.entries(early)) {
    test(`${mode}: the records are quoted`, async () => {
      service.chat = mode;
      const { text, done, chunks } = await answer();
      assert.match(text, QUOTED);
      assert.deepEqual(done.services.llm, { asked: 'openai', by: 'extract', failed: code });
      assert.equal(done.failedChunks, 0);
      assert.ok(chunks.every(({ data }) => data.mime === 'audio/mpeg'), 'the voice is still that of the service');
      assert.equal(service.of('chat').length, 1, 'it is asked once');
      await server.logged(new RegExp(`the language model fails \\(${code}\\)`));
    });
  }

  for (const [mode, code] of Object.entries({ stall: 'timeout', cut: 'cut', unfinished: 'cut' })) {
    test(`${mode}: what was said stays, the records are quoted behind it`, async () => {
      service.chat = mode;
      const { text, done } = await answer();
      const [said, quoted] = text.split('\n');
      assert.equal(said, 'It begins well, and the first sentence is there. Then');
      assert.match(quoted, QUOTED);
      assert.deepEqual(done.services.llm, { asked: 'openai', by: 'extract', failed: code });
    });
  }

  test('limited: it is not asked again before it said', async () => {
    service.chat = 'limited';
    const codes = [];
    for (let i = 0; i < 4; ++i) codes.push((await answer(`How do I do a plank? Limited ${i}.`)).done.services.llm.failed);
    assert.ok(codes.includes('status') && codes.includes('busy'), codes.join());
    assert.ok(service.of('chat').length <= 2, 'once by each worker');
    service.chat = 'good';
    await pause(1050); // Retry-After was 1 s, for each worker
    for (let i = 0; i < 4; ++i) assert.equal((await answer(`How do I do a plank? After ${i}.`)).done.services.llm.by, 'openai');
  });
});

describe('a voice that fails', () => {
  const modes = { hang: 'timeout', stall: 'timeout', cut: 'cut', garbage: 'garbage', silent: 'garbage', huge: 'too_large', poison: 'status' };
  for (const [mode, code] of Object.entries(modes)) {
    test(`${mode}: the voice of the house speaks, and it is told`, async () => {
      service.speech = mode;
      const { text, chunks, done } = await answer();
      assert.equal(text, ANSWER);
      for (const { data } of chunks) {
        assert.equal(data.mime, 'audio/wav');
        assert.ok(wavSamples(data.audio) > 0);
        assert.deepEqual(data.fallback, { code });
      }
      assert.deepEqual(done.services.tts,
        { asked: 'openai', pieces: chunks.length, by_fallback: chunks.length, fallback: 'espeak', failed: code });
      assert.equal(service.of('speech').length, 1, 'it is asked once a turn');
      await server.logged(new RegExp(`the voice fails \\(${code}\\)`));
    });
  }

  for (const [mode, code] of Object.entries({ late_stall: 'timeout', late_cut: 'cut', late_garbage: 'garbage', endless: 'too_large' })) {
    test(`${mode}: what was heard stays, the end of that sentence is told, and the voice of the house speaks the others`, async () => {
      service.speech = mode;
      const { text, chunks, done } = await answer();
      assert.equal(text, ANSWER);
      const [begun, ...others] = sentencesOf(chunks);
      const last = begun.pop();
      assert.deepEqual([last.error, last.audio, last.text, last.isFinal], [code, '', '', false]);
      assert.ok(begun.every(({ mime, error }) => mime === 'audio/mpeg' && !error));
      const heard = begun.reduce((sum, { durationMs }) => sum + durationMs, 0);
      if (mode === 'endless') assert.ok(heard * 8 <= 1024 * 1024, `${heard} ms of max_audio`); // 192 bytes are 24 ms
      else assert.equal(heard, 2016, 'all that came');
      assert.ok(others.length > 0);
      for (const [first, ...more] of others) {
        assert.deepEqual([first.mime, first.fallback, more.length], ['audio/wav', { code }, 0]);
        assert.ok(wavSamples(first.audio) > 0);
      }
      assert.deepEqual(done.services.tts, { asked: 'openai', pieces: others.length + 1, by_fallback: others.length, fallback: 'espeak', failed: code });
      assert.equal(done.failedChunks, 1);
      assert.equal(service.of('speech').length, 1, 'it is asked once a turn');
    });
  }
});

describe('speech goes out as it comes', () => {
  test('the first is heard while the service still speaks', async () => {
    service.speech = 'slowly'; // without end
    const { dialogueId } = await ask(server, 'How do I do a plank? Slowly.');
    const stream = await openStream(server, dialogueId);
    await stream.until(({ name, data }) => name === 'audioChunk' && data.continues, 'the second half second');
    const [first, second] = named(logged(stream.events), 'audioChunk').map(({ data }) => data);
    assert.deepEqual([first.durationMs, second.durationMs, first.isFinal, second.isFinal], [504, 504, false, false]);
    assert.equal(service.of('speech')[0].closed, null, 'and it goes on');
    assert.equal((await call(server, 'DELETE', `/api/voice/dialogues/${dialogueId}`)).status, 204);
    await until(() => service.of('speech')[0].closed, 'the transfer to be closed');
    await nothingLeft();
  });

  test('a dialogue that waits makes the service wait', async () => {
    const other = await startServer(...useOpenAI(service.url, 'llm=extract', 'plugins.tts-openai.max_audio=1GB', 'upstreams.tts.idle_timeout=1s',
      'upstreams.tts.first_byte_timeout=1min', 'first_listener_grace=1min'));
    try {
      service.speech = 'endless';
      const { dialogueId } = await ask(other, 'How do I do a plank? Without end.');
      await until(() => service.of('speech').length === 1, 'speech to be asked for');
      const speech = service.of('speech')[0];
      let still = 0, poured = -1; // nobody listens: soon no more is taken
      await until(async () => {
        still = speech.poured === poured ? still + 1 : 0;
        poured = speech.poured;
        await pause(50);
        return still === 30; // longer than idle_timeout, which does not run meanwhile
      }, 'the service to be held up', 60_000);
      assert.ok(poured < 32 * 1024 * 1024, `${poured} bytes`); // nearly all of them in sockets
      const { json } = await call(other, 'GET', '/api/health/memory');
      assert.ok(json.ledger.byKind.turn.bytes + json.ledger.byKind.transfer.bytes < 256 * 1024, JSON.stringify(json.ledger.byKind));
      const stream = await openStream(other, dialogueId);
      await until(() => speech.poured > poured + 1024 * 1024, 'it to go on');
      assert.equal(speech.closed, null);
      stream.cut();
      assert.equal((await call(other, 'DELETE', `/api/voice/dialogues/${dialogueId}`)).status, 204);
      await until(() => speech.closed, 'the transfer to be closed');
    } finally {
      await other.stop();
    }
  });
});

describe('nobody pays for words that no one hears', () => {
  /** A turn whose words and speech are both on their way. */
  async function midway(question) {
    Object.assign(service, { chat: 'slowly', speech: 'slowly', asked: [] });
    const { dialogueId } = await ask(server, question);
    const stream = await openStream(server, dialogueId);
    await until(() => service.of('speech').length === 1, 'speech to be asked for');
    return { dialogueId, stream, chat: service.of('chat')[0], speech: service.of('speech')[0] };
  }

  /** Both were closed, at the earliest after `earliest` ms and at the latest 100 ms later. */
  async function bothClosed({ chat, speech }, since, earliest = 0) {
    await until(() => chat.closed && speech.closed, 'both transfers to be closed');
    for (const { kind, closed } of [chat, speech]) {
      const took = closed - since;
      assert.ok(took >= earliest && took < earliest + 100 * SLOW, `${kind} was closed after ${took.toFixed(1)} ms`);
    }
    Object.assign(service, { chat: 'good', speech: 'good' });
    await nothingLeft();
    assert.equal(service.of('chat').length + service.of('speech').length, 2, 'and nothing else was asked');
  }

  test('interrupted: both are closed at once', async () => {
    const turn = await midway('How do I do a plank? To be interrupted.');
    const since = performance.now();
    const { status } = await post(server, `/api/voice/dialogues/${turn.dialogueId}/interrupt`, {});
    assert.equal(status, 200);
    await bothClosed(turn, since);
    assert.ok(await within(5000, turn.stream.ended, 'the end of the stream'));
    assert.equal(doneOf(logged(turn.stream.events)).status, 'cancelled');
  });

  test('deleted: both are closed at once', async () => {
    const turn = await midway('How do I do a plank? To be deleted.');
    const since = performance.now();
    assert.equal((await call(server, 'DELETE', `/api/voice/dialogues/${turn.dialogueId}`)).status, 204);
    await bothClosed(turn, since);
  });

  test('another question: both are closed at once', async () => {
    const turn = await midway('How do I do a plank? To be left.');
    Object.assign(service, { chat: 'hang' });
    const since = performance.now();
    await ask(server, { dialogueId: turn.dialogueId, text: 'And a squat?' });
    await until(() => turn.chat.closed && turn.speech.closed, 'both transfers to be closed');
    for (const { closed } of [turn.chat, turn.speech]) assert.ok(closed - since < 100 * SLOW, `${closed - since} ms`);
    assert.equal((await call(server, 'DELETE', `/api/voice/dialogues/${turn.dialogueId}`)).status, 204);
    await nothingLeft();
  });

  test('the last listener has left: both are closed when the grace is over', async () => {
    const turn = await midway('How do I do a plank? To be left alone.');
    const since = performance.now();
    turn.stream.cut();
    await bothClosed(turn, since, 1000 - 5);
  });
});

test('200 dialogues through both leave nothing behind', async () => {
  const firsts = [];
  await server.stop();
  server = await startServer(...useOpenAI(service.url, 'linger=1s', 'workers=2', ...['llm', 'tts'].flatMap((name) => // not a test of deadlines
    ['first_byte_timeout', 'idle_timeout', 'total_timeout'].map((key) => `upstreams.${name}.${key}=2min`))));
  async function one(i) {
    const since = performance.now();
    const { dialogueId } = await ask(server, `How do I do a plank? Number ${i}.`);
    const stream = await openStream(server, dialogueId);
    await stream.until(({ name }) => name === 'audioChunk', 'the first sentence', 60_000);
    firsts.push(performance.now() - since);
    if (i % 4 === 3) return stream.cut();
    assert.ok(await within(60_000, stream.ended, 'the end of the answer'));
    assert.equal(textOf(logged(stream.events)), ANSWER);
    assert.equal(doneOf(logged(stream.events)).services.tts.by_fallback, 0);
  }
  for (let i = 0; i < 200; i += 20) await Promise.all(Array.from({ length: 20 }, (_, k) => one(i + k)));
  await nothingLeft();
  firsts.sort((a, b) => a - b);
  console.log(`# first audio, 20 at once: p50 ${firsts[100].toFixed(0)} ms, p99 ${firsts[198].toFixed(0)} ms`);
});
