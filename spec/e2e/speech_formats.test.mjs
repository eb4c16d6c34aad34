// What a speaking service sends, in each format, made by Debian's encoders: what clients get is playable piece by piece, and all pieces
// together are the sound as it was. lame decodes the MP3s, and Chromium plays them as the page does.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { chromiumMissing, openBrowser } from './support/browser.mjs';
import { ask, call, named, readTurn } from './support/client.mjs';
import { startOpenAI, useOpenAI } from './support/openai.mjs';
import { startServer } from './support/server.mjs';

const HEADER = 44;
let folder, service, speech; // speech: a WAV of the voice of the house
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'fitnessally-formats-'));
  service = await startOpenAI();
  const house = await startServer();
  try {
    const { dialogueId } = await ask(house, 'How do I do a plank?');
    const { events } = await readTurn(house, dialogueId);
    const chunks = named(events, 'audioChunk').map(({ data }) => Buffer.from(data.audio, 'base64'));
    speech = chunks.find((chunk) => chunk.length > 150_000); // more than 3 s
  } finally {
    await house.stop();
  }
});
after(async () => {
  await service?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** A file's bytes after a program has made it from others. */
function make(program, bytes, ...options) {
  const from = path.join(folder, 'from'), to = path.join(folder, 'to');
  writeFileSync(from, bytes);
  const { status, stderr, error } = spawnSync(program, [...options.map((o) => ({ FROM: from, TO: to })[o] ?? o)]);
  assert.equal(status, 0, `${program}: ${error ?? stderr}`);
  return readFileSync(to);
}

const lame = (...options) => make('lame', speech, '--quiet', ...options, 'FROM', 'TO');
const decoded = (mp3) => make('lame', mp3, '--quiet', '--mp3input', '--decode', 'FROM', 'TO').subarray(HEADER);
const samplesOf = (wav) => {
  assert.equal(wav.toString('latin1', 0, 4) + wav.toString('latin1', 36, 40), 'RIFFdata');
  assert.equal(wav.readUInt32LE(4) + 8, wav.length);
  assert.equal(wav.readUInt32LE(40) + HEADER, wav.length);
  return wav.subarray(HEADER);
};

/** The chunks of one sentence, as `sound` came for each; the others are compared with them. */
async function spoken(sound, ...settings) {
  const server = await startServer(...useOpenAI(service.url, 'llm=extract', ...settings));
  try {
    Object.assign(service, { speech: 'sound', sound });
    const copied = async () => (await call(server, 'GET', '/api/health/memory')).json.scripts.copiedBytes;
    await readTurn(server, (await ask(server, { text: 'How do I do a plank? Quietly.', voiceConfig: { enabled: false } })).dialogueId);
    const started = await copied();
    await readTurn(server, (await ask(server, { text: 'How do I do a plank? Still.', voiceConfig: { enabled: false } })).dialogueId);
    const quiet = await copied();
    const { dialogueId } = await ask(server, 'How do I do a plank?');
    const { events } = await readTurn(server, dialogueId);
    const loud = await copied();
    const chunks = named(events, 'audioChunk').map(({ data }) => ({ ...data, bytes: Buffer.from(data.audio, 'base64') }));
    const { data: done } = named(events, 'done')[0];
    assert.deepEqual([done.services.tts.by_fallback, done.failedChunks], [0, 0]);
    const heard = chunks.reduce((sum, { bytes }) => sum + bytes.length, 0);
    assert.ok(loud - quiet - (quiet - started) < heard / 10, `${loud - quiet} and ${quiet - started} bytes were copied, ${heard} heard`);
    const seconds = chunks.findIndex(({ continues }, i) => i > 0 && !continues); // the next sentence begins there
    const sentence = chunks.slice(0, seconds);
    chunks.forEach((chunk, i) => assert.deepEqual(chunk.bytes, sentence[i % seconds].bytes));
    return sentence;
  } finally {
    await server.stop();
  }
}

const length = (chunks) => chunks.reduce((sum, { durationMs }) => sum + durationMs, 0);
const rateOf = (wav) => wav.readUInt32LE(24);
const milliseconds = (wav) => (wav.length - HEADER) / 2 / rateOf(wav) * 1000;

const MP3S = { 'constant rate, with a reservoir': ['-b', '32'], 'variable rate': ['-V', '4'], 'no header of lame\'s': ['-b', '64', '-t'] };
for (const [name, options] of Object.entries(MP3S)) {
  test(`mp3, ${name}: cut between frames, and as it came`, async () => {
    const sound = lame(...options);
    const chunks = await spoken(sound);
    assert.ok(chunks.length > 4);
    const all = Buffer.concat(chunks.map(({ bytes }) => bytes));
    assert.deepEqual(all, sound.subarray(0, all.length));
    assert.ok(sound.length - all.length <= 128, 'only a tag is left out');
    assert.deepEqual(decoded(all), decoded(sound));
    const frame = 576 / rateOf(speech) * 1000, added = 8 * frame; // by lame: its own, and silence at both ends
    assert.ok(length(chunks) >= milliseconds(speech) && length(chunks) < milliseconds(speech) + added, `${length(chunks)} ms`);
    for (const { bytes, durationMs, samples, sampleRate, mime } of chunks.slice(1)) { // the first has lame's own frame
      assert.equal(mime, 'audio/mpeg');
      assert.ok(Math.abs(samples / sampleRate * 1000 - durationMs) < 0.01);
      assert.ok(Math.abs(decoded(bytes).length / 2 / sampleRate * 1000 - durationMs) <= 3 * frame, 'it decodes by itself'); // lame skips two at the start
    }
  });
}

describe('samples', () => {
  const formats = {
    wav: [() => speech],
    'wav of unknown length': [() => {
      const streamed = Buffer.from(speech);
      streamed.writeUInt32LE(0xffffffff, 4);
      streamed.writeUInt32LE(0xffffffff, 40);
      return streamed;
    }],
    pcm: [() => speech.subarray(HEADER), 'plugins.tts-openai.pcm_rate=22050'],
  };
  for (const [name, [sound, ...settings]] of Object.entries(formats)) {
    test(`${name}: cut between samples, each with a header`, async () => {
      assert.equal(rateOf(speech), 22050);
      const chunks = await spoken(sound(), `plugins.tts-openai.response_format=${name.slice(0, 3)}`, ...settings);
      assert.ok(chunks.length > 4);
      assert.deepEqual(Buffer.concat(chunks.map(({ bytes }) => samplesOf(bytes))), samplesOf(speech));
      assert.ok(Math.abs(length(chunks) - milliseconds(speech)) < 0.01);
      for (const { bytes, mime, durationMs, samples } of chunks) {
        assert.equal(mime, 'audio/wav');
        assert.equal(samples * 2 + HEADER, bytes.length);
        assert.ok(Math.abs(milliseconds(bytes) - durationMs) < 0.01);
      }
    });
  }
});

describe('what has no place to be cut', () => {
  const formats = {
    opus: ['audio/ogg; codecs=opus', () => make('opusenc', speech, '--quiet', 'FROM', 'TO')],
    flac: ['audio/flac', () => make('flac', speech, '--silent', '--force', '-o', 'TO', 'FROM')],
  };
  for (const [format, [mime, encode]] of Object.entries(formats)) {
    test(`${format}: a sentence is one chunk, byte for byte`, async () => {
      const sound = encode();
      const chunks = await spoken(sound, `plugins.tts-openai.response_format=${format}`);
      assert.equal(chunks.length, 1);
      assert.deepEqual(chunks[0].bytes, sound);
      assert.equal(chunks[0].mime, mime);
      assert.ok(Math.abs(chunks[0].durationMs - milliseconds(speech)) < 30);
    });
  }

  test('piece=0s: mp3 too', async () => {
    const sound = lame('-b', '64');
    const [chunk, ...more] = await spoken(sound, 'plugins.tts-openai.piece=0s');
    assert.equal(more.length, 0);
    assert.deepEqual(chunk.bytes, sound);
  });
});

test('the page plays the pieces of an mp3 without a seam', { skip: chromiumMissing() }, async () => {
  for (const options of Object.values(MP3S)) {
    const sound = lame(...options);
    const chunks = (await spoken(sound)).map(({ bytes, ...data }) => data);
    const server = await startServer();
    const browser = await openBrowser();
    try {
      await browser.page.goto(`${server.url}/`);
      // Its own player, on a context that renders what it would play.
      const { most, seconds } = await browser.page.evaluate(`(async () => {
        const bytes = Uint8Array.from(atob(${JSON.stringify(sound.toString('base64'))}), (c) => c.charCodeAt(0));
        const rate = ${rateOf(speech)}, from = Math.round(PAUSE_BETWEEN_SENTENCES * rate);
        const whole = (await new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes.buffer)).getChannelData(0);
        audio = new OfflineAudioContext(1, whole.length + from, rate);
        const player = new Player({ onSentence() {}, onPlayed() {}, onEnd() {} });
        for (const chunk of ${JSON.stringify(chunks)}) await player.add(chunk.chunkIndex, chunk.audio, chunk);
        const played = (await audio.startRendering()).getChannelData(0).subarray(from);
        let most = 0;
        for (let i = 0; i < whole.length; i++) most = Math.max(most, Math.abs(whole[i] - played[i]));
        return { most, seconds: player.until - PAUSE_BETWEEN_SENTENCES };
      })()`);
      assert.ok(most < 0.001, `samples differ by up to ${most}`);
      assert.ok(seconds * 1000 > milliseconds(speech) - 1);
    } finally {
      await browser.close();
      await server.stop();
    }
  }
});
