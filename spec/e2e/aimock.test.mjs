// The coach on a language model and a voice that nobody here wrote: npm's aimock, which speaks OpenAI's chat and speech and keeps a journal.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { ask, call, logged, named, openStream, post, readTurn } from './support/client.mjs';
import { mp3, startOpenAI, useOpenAI } from './support/openai.mjs';
import { SLOW, startServer, within } from './support/server.mjs';

const [major, minor] = process.versions.node.split('.').map(Number);
const skip = major > 20 || (major === 20 && minor >= 15) ? false : `aimock wants Node 20.15, this is ${process.version}`;
const { LLMock } = skip ? {} : await import('@copilotkit/aimock');
const ANSWER = 'Lie down on your forearms. Make one straight line from head to heels, and breathe slowly while you hold it there. Rest after that.';

let mock, server;
before(async () => {
  if (skip) return;
  mock = new LLMock({ port: 0 });
  mock.onMessage(/plank/, { content: ANSWER }, { chunkSize: 3 });
  mock.onMessage(/squat/, { error: { message: 'overloaded', type: 'server_error' }, status: 500 });
  mock.onMessage(/lunge/, { content: ANSWER }, { disconnectAfterMs: 30, latency: 20, chunkSize: 3 });
  mock.onMessage(/curl/, { toolCalls: [{ name: 'find', arguments: '{"name":"curl"}' }] });
  mock.onSpeech(/./, { audio: mp3(600).toString('base64'), format: 'mp3' });
  await mock.start();
  server = await startServer(...useOpenAI(`${mock.url}/v1`));
});
after(async () => {
  await server?.stop();
  await mock?.stop();
});

async function answer(question) {
  const { dialogueId } = await ask(server, question);
  const { events } = await readTurn(server, dialogueId);
  const { data } = named(events, 'done')[0];
  assert.equal(data.status, 'completed');
  const text = named(events, 'textChunk').filter((e) => e.data.role === 'assistant').map((e) => e.data.text).join('');
  return { text, done: data, chunks: named(events, 'audioChunk') };
}

test('an answer in its words and its voice', { skip }, async () => {
  const { text, done, chunks } = await answer('How do I do a plank?');
  assert.equal(text, ANSWER);
  assert.equal(done.services.llm.by, 'openai');
  assert.ok(chunks.length >= 2);
  for (const { data } of chunks) {
    assert.equal(data.mime, 'audio/mpeg');
    assert.equal(data.durationMs, data.continues ? 96 : 504); // half a second, and the rest
    assert.deepEqual(Buffer.from(data.audio, 'base64'), mp3(data.durationMs));
  }
  const sentences = chunks.filter(({ data }) => !data.continues).length;
  assert.equal(chunks.length, 2 * sentences);
  const journal = mock.getRequests();
  assert.equal(journal.filter(({ path }) => path === '/v1/chat/completions').length, 1);
  assert.equal(journal.filter(({ path }) => path === '/v1/audio/speech').length, sentences);
  assert.ok(journal.every(({ response }) => response.status === 200 && !response.interrupted));
});

test('an error, a call for tools, a broken stream: the records are quoted', { skip }, async () => {
  const squat = await answer('How do I do a squat?');
  assert.deepEqual([squat.done.services.llm.by, squat.done.services.llm.failed], ['extract', 'status']);
  const curl = await answer('How do I do a curl?');
  assert.deepEqual([curl.done.services.llm.by, curl.done.services.llm.failed], ['extract', 'empty']);
  const lunge = await answer('How do I do a lunge?');
  assert.equal(lunge.done.services.llm.by, 'extract');
  assert.equal(mock.getLastRequest() !== null && mock.getRequests().filter(({ response }) => response.interrupted).length, 1);
  for (const { text, chunks } of [squat, curl, lunge]) {
    assert.ok(text.length > 50);
    assert.ok(chunks.length > 0 && chunks.every(({ data }) => data.mime === 'audio/mpeg'));
  }
});

test('interrupted: its journal says that the client hung up', { skip }, async () => {
  // As a proxy of a slow service it notices and notes that; its own streams go on into nowhere.
  const slow = await startOpenAI();
  slow.chat = 'slowly';
  const proxy = new LLMock({ port: 0, record: { providers: { openai: slow.url.replace('/v1', '') }, proxyOnly: true } });
  await proxy.start();
  const other = await startServer(...useOpenAI(`${proxy.url}/v1`), '--set', 'tts=', '--set', 'linger=1s');
  try {
    const { dialogueId } = await ask(other, 'How do I do a plank?');
    const stream = await openStream(other, dialogueId);
    await stream.until(({ name, data }) => name === 'textChunk' && data.role === 'assistant', 'the first words');
    const since = performance.now();
    assert.equal((await post(other, `/api/voice/dialogues/${dialogueId}/interrupt`, {})).status, 200);
    assert.ok(await within(5000, stream.ended, 'the end of the stream'));
    assert.equal(named(logged(stream.events), 'done')[0].data.status, 'cancelled');
    const noted = () => proxy.getRequests().find(({ response }) => response.interrupted);
    while (!noted() && performance.now() - since < 5000 * SLOW) await pause(2);
    const took = performance.now() - since;
    assert.equal(noted()?.response.interruptReason, 'client aborted');
    assert.ok(took < 100 * SLOW, `noted after ${took.toFixed(1)} ms`);
    const { json } = await call(other, 'GET', '/api/health/memory');
    assert.equal(json.ledger.byKind.transfer.count, 0);
  } finally {
    await other.stop();
    await proxy.stop();
    await slow.stop();
  }
});
