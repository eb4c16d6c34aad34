// Uploads as a browser makes them: fetch with FormData, in this Node's own words.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { call, readTurn } from './support/client.mjs';
import { ledgerAtZero, startServer, within } from './support/server.mjs';

const CONVERSE = '/api/voice/converse';
const MEGABYTE = 1024 * 1024;

let server;
before(async () => (server = await startServer('--set', 'duplicate_window=0s')));
after(() => server?.stop());
afterEach(() => ledgerAtZero(server));

async function send(form, path = CONVERSE) {
  const answer = await within(20_000, fetch(server.url + path, { method: 'POST', body: form, headers: { Connection: 'close' } }), `POST ${path}`);
  return { status: answer.status, json: await answer.json(), id: answer.headers.get('x-request-id') };
}

function question(fields, audio) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  if (audio) form.append('audio', new Blob([audio], { type: 'audio/webm;codecs=opus' }), 'What "is" a plänk?.webm');
  return form;
}

const ledger = async () => (await call(server, 'GET', '/api/health/memory')).json.ledger;

async function settled(what, holds) {
  let figures;
  for (let i = 0; i < 200; ++i) {
    figures = await ledger();
    if (holds(figures)) return figures;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`${what}: ${JSON.stringify(figures)}`);
}

function assertRefused({ status, json, id }, wanted, code) {
  assert.equal(status, wanted, JSON.stringify(json));
  assert.equal(json.error.code, code);
  assert.equal(json.error.requestId, id);
}

describe('a question as a form', () => {
  test('is answered like one as JSON', async () => {
    const form = question({ text: 'How do I do a plank?', speed: '1.2', voiceConfig: '{"enabled":true}' });
    const { status, json } = await send(form);
    assert.equal(status, 200, JSON.stringify(json));
    const { events } = await readTurn(server, json.dialogueId);
    assert.equal(events.at(-1).data.status, 'completed');
    assert.ok(events.some(({ name, event }) => (name ?? event) === 'audioChunk'));
  });

  test('may bring its recording, which stays on disk and goes with its turn', async () => {
    const before = await ledger();
    const { status, json } = await send(question({ text: 'How do I do a plank?' }, Buffer.alloc(9 * MEGABYTE, 'o')));
    assert.equal(status, 200, JSON.stringify(json));
    const during = await ledger(); // the request is over, the turn has the recording
    assert.ok(during.spooled >= 9 * MEGABYTE, `spooled ${during.spooled}`);
    assert.ok(during.ours - before.ours < 4 * MEGABYTE, `ours ${before.ours} -> ${during.ours}`);
    const { events } = await readTurn(server, json.dialogueId);
    assert.equal(events.at(-1).data.status, 'completed');
    await call(server, 'DELETE', `/api/voice/dialogues/${json.dialogueId}`);
    await settled('the recording goes', ({ spooled, inFlight, byKind }) => spooled === 0 && inFlight === 0 && byKind.turn.bytes === 0);
  });

  test('without words is 501 as long as nobody understands speech', async () => {
    assertRefused(await send(question({}, Buffer.alloc(MEGABYTE))), 501, 'speech_not_understood');
    assertRefused(await send(question({ text: ' ' }, Buffer.alloc(10))), 501, 'speech_not_understood');
  });

  test('without anything is 400 and names what is missing', async () => {
    const answer = await send(question({}));
    assertRefused(answer, 400, 'invalid_field');
    assert.match(answer.json.error.message, /text/);
    assertRefused(await send(question({ text: 'plank', speed: 'fast' })), 400, 'invalid_field');
  });

  test('larger than max_upload is 413', async () => {
    // Node gives up when it is refused while it still writes; the answer is what counts when it arrives.
    const answer = await send(question({ text: 'plank' }, Buffer.alloc(26 * MEGABYTE))).catch(() => null);
    if (answer) assert.equal(answer.status, 413);
    assert.equal((await call(server, 'GET', '/api/health')).json.status, 'OK');
  });

  test('leaves nothing behind', async () => {
    await settled('nothing is left', ({ spooled, byKind }) => spooled === 0 && byKind.request.count === 0);
  });
});
