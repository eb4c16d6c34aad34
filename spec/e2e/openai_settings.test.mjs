// plugins/llm-openai and plugins/tts-openai as they are set up: keys from files, addresses and keys that are missing, what is no sound in
// formats without a header.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';

import { ask, named, readTurn, wavSamples } from './support/client.mjs';
import { ANSWER, startOpenAI, useOpenAI } from './support/openai.mjs';
import { BIN, startServer } from './support/server.mjs';

const KEY = 'a-key-from-a-file';
const QUOTED = /^Here is how to do the Plank\. /;
const NOBODY = ['llm=openai', 'llm_url=http://127.0.0.1:1/v1', 'tts=openai', 'tts_url=http://127.0.0.1:1/v1'];
let folder, service;
before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'fitnessally-keys-'));
  writeFileSync(path.join(folder, 'key'), `${KEY}\n`);
  writeFileSync(path.join(folder, 'torn'), 'a-key\nand more');
  service = await startOpenAI();
});
beforeEach(() => {
  Object.assign(service, { chat: 'good', speech: 'good', asked: [] });
});
after(async () => {
  await service?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const set = (...settings) => ['script_slice=1min', ...settings].flatMap((setting) => ['--set', setting]);

/** One turn of a server with these settings: its text, chunks, services; and the server's log. */
async function turn(...settings) {
  const server = await startServer(...set(...settings));
  try {
    const { events } = await readTurn(server, (await ask(server, 'How do I do a plank?')).dialogueId);
    const done = named(events, 'done')[0].data;
    assert.equal(done.status, 'completed');
    const text = named(events, 'textChunk').filter(({ data }) => data.role === 'assistant').map(({ data }) => data.text).join('');
    return { text, done, services: done.services, chunks: named(events, 'audioChunk').map(({ data }) => data), log: server.log() };
  } finally {
    await server.stop();
  }
}

test('both refused: the answer of the house', async () => {
  const { text, chunks, services } = await turn(...NOBODY);
  assert.match(text, QUOTED);
  assert.ok(chunks.every(({ audio, fallback }) => wavSamples(audio) > 0 && fallback.code === 'refused'));
  assert.deepEqual([services.llm.failed, services.tts.failed], ['refused', 'refused']);
});

test('without another voice each piece is marked as failed', async () => {
  const { chunks, services, done } = await turn(...NOBODY, 'tts_fallback=');
  assert.ok(chunks.length > 0 && chunks.every(({ error, audio }) => error === 'refused' && !audio));
  assert.deepEqual(services.tts, { asked: 'openai', pieces: chunks.length, by_fallback: 0, failed: 'refused' });
  assert.equal(done.failedChunks, chunks.length);
});

test('keys are read from files, without their last line break, and are in no log', async () => {
  const file = path.join(folder, 'key');
  const { text, services, log } = await turn('llm=openai', `llm_url=${service.url}`, 'tts=openai', `tts_url=${service.url}`,
    `plugins.llm-openai.key_file=${file}`, `plugins.tts-openai.key_file=${file}`);
  assert.equal(text, ANSWER);
  assert.equal(services.tts.by_fallback, 0);
  assert.ok(service.asked.length > 1 && service.asked.every(({ headers }) => headers.authorization === `Bearer ${KEY}`));
  assert.ok(!log.includes(KEY));
});

describe('what is missing is said by check and by the log, and the house answers', () => {
  const cases = {
    'no llm_url': [['llm=openai'], /plugin llm-openai .*llm_url is not set/],
    'no tts_url': [['tts=openai'], /plugin tts-openai .*tts_url is not set/],
    'no file with the key': [['tts=openai', 'tts_url=http://127.0.0.1:1/v1', 'plugins.tts-openai.key_file=/nowhere/key'],
      /plugin tts-openai .*token_file \/nowhere\/key: No such file/],
    'no variable with the key': [['llm=openai', 'llm_url=http://127.0.0.1:1/v1', 'plugins.llm-openai.key_env=FA_NOT_SET_ANYWHERE'],
      /plugin llm-openai .*FA_NOT_SET_ANYWHERE/],
    'a key of two lines': [['llm=openai', 'llm_url=http://127.0.0.1:1/v1', () => `plugins.llm-openai.key_file=${path.join(folder, 'torn')}`],
      /plugin llm-openai .*the secret has a line break/],
    'members that are no JSON': [['llm=openai', 'llm_url=http://127.0.0.1:1/v1', 'plugins.llm-openai.extra={"a":'],
      /plugin llm-openai .*extra/],
  };
  for (const [name, [given, says]] of Object.entries(cases)) {
    test(name, async () => {
      const settings = given.map((it) => (typeof it === 'function' ? it() : it));
      const checked = spawnSync(BIN, ['check', ...set(...settings)], { encoding: 'utf8' });
      assert.equal(checked.status, 1);
      assert.match(checked.stderr + checked.stdout, says);
      assert.doesNotMatch(checked.stderr + checked.stdout, /and more/); // what the file holds
      const { text, services, chunks, log } = await turn(...settings);
      assert.match(log, says);
      assert.match(text, QUOTED);
      assert.ok(chunks.length > 0 && chunks.every(({ audio }) => wavSamples(audio) > 0));
      if (settings[0] === 'llm=openai') assert.deepEqual(services.llm, { asked: 'openai', by: 'extract', failed: 'unavailable' });
      else assert.deepEqual([services.tts.failed, services.tts.by_fallback], ['unavailable', chunks.length]);
    });
  }
});

describe('what is no sound, in each format', () => {
  for (const format of ['mp3', 'opus', 'aac', 'flac', 'wav', 'pcm']) {
    test(format, async () => {
      for (const mode of ['page', 'silent', 'torn']) {
        service.speech = mode;
        const { chunks, services } = await turn(...useOpenAI(service.url).filter((it) => it !== '--set'), 'llm=extract',
          `plugins.tts-openai.response_format=${format}`);
        assert.equal(services.tts.failed, 'garbage', mode);
        assert.ok(chunks.every(({ audio, fallback }) => wavSamples(audio) > 0 && fallback.code === 'garbage'));
        assert.equal(service.of('speech').at(-1).body.response_format, format);
      }
    });
  }
});
