// What a server must survive: every wrong request has a defined answer of one shape, and nothing leaks through it.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { ask, call, post, raw, readTurn } from './support/client.mjs';
import { ledgerAtZero, startServer } from './support/server.mjs';

const CONVERSE = '/api/voice/converse';
const MEGABYTE = 1024 * 1024;

let server;
before(async () => (server = await startServer()));
after(() => server?.stop());
afterEach(() => ledgerAtZero(server));

/** One shape for all errors, with nothing in it that is the server's own business. */
function assertError(answer, status) {
  assert.equal(answer.status, status, answer.text);
  assert.match(answer.headers['content-type'], /^application\/json/);
  const { code, message, requestId } = answer.json.error;
  assert.match(code, /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/);
  assert.ok(typeof message === 'string' && message.length > 0);
  assert.equal(requestId, answer.headers['x-request-id']);
  assert.ok(requestId, 'X-Request-Id');
  assert.doesNotMatch(answer.text, /\.lua:\d|stack traceback|\/work\/|\/usr\/|0x[0-9a-f]{6}/i, 'nothing leaks');
  return message;
}

describe('bodies', () => {
  const malformed = { 'an empty body': '', 'half an object': '{"text":"plank', 'no JSON': 'text=plank', 'two values': '{"text":"a"} {}',
    'a bare word': 'plank', 'a very deep one': '['.repeat(100_000), 'a NUL': '{"text":"a"}\0' };
  for (const [what, body] of Object.entries(malformed)) {
    test(`${what} is 400`, async () => assertError(await post(server, CONVERSE, body), 400));
  }

  for (const body of ['null', '5', '"plank"', '[]', 'true', '["text"]']) {
    test(`${body} is no question: 400`, async () => assertError(await post(server, CONVERSE, body), 400));
  }

  for (const data of [{}, { text: '' }, { text: ' \n\t' }, { userInput: '' }, { dialogue: 'x' }]) {
    test(`without a text, ${JSON.stringify(data)} is 400`, async () => {
      assert.match(assertError(await post(server, CONVERSE, data), 400), /text/);
    });
  }

  const wrong = [['text', 5], ['text', ['plank']], ['text', { a: 1 }], ['text', true], ['userInput', 5], ['dialogueId', 7], ['dialogueId', {}],
    ['voiceConfig', 5], ['voiceConfig', 'no json'], ['voiceConfig', '5'], ['voiceConfig', true]];
  for (const [field, value] of wrong) {
    test(`${field}: ${JSON.stringify(value)} is 400 and the field is named`, async () => {
      const data = { ...(field === 'userInput' ? {} : { text: 'How do I do a plank?' }), [field]: value };
      assert.match(assertError(await post(server, CONVERSE, data), 400), new RegExp(field));
    });
  }

  test('voiceConfig.enabled of the wrong type is 400 and named', async () => {
    const answer = await post(server, CONVERSE, { text: 'plank', voiceConfig: { enabled: 'perhaps' } });
    assert.match(assertError(answer, 400), /enabled/);
  });

  test('playedMs of the wrong type is 400 and named', async () => {
    const { dialogueId } = await ask(server, 'How do I do a plank?');
    const answer = await post(server, `/api/voice/dialogues/${dialogueId}/interrupt`, { playedMs: 'long' });
    assert.match(assertError(answer, 400), /playedMs/);
    await call(server, 'DELETE', `/api/voice/dialogues/${dialogueId}`);
  });

  test('unknown fields are ignored', async () => {
    const { dialogueId } = await ask(server, { text: 'How do I do a plank?', systemPrompt: 'x', nothing: [{}], constructor: 1 });
    const { events } = await readTurn(server, dialogueId);
    assert.equal(events.at(-1).data.status, 'completed');
  });
});

describe('too much', () => {
  const piece = Buffer.alloc(64 * 1024, 'a');
  const head = (framing) => `POST ${CONVERSE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n${framing}\r\n\r\n`;

  test('a body declared larger than 1 MB is 413', async () => {
    const { status, text } = await raw(server, head(`Content-Length: ${MEGABYTE + 1}`), ...Array(17).fill(piece));
    assert.equal(status, 413, text);
    assert.match(text, /\r\nx-request-id: /i);
  });

  test('a chunked body that grows past 1 MB is 413', async () => {
    const chunk = Buffer.concat([Buffer.from('10000\r\n'), piece, Buffer.from('\r\n')]);
    const { status, text } = await raw(server, head('Transfer-Encoding: chunked'), ...Array(17).fill(chunk), '0\r\n\r\n');
    assert.equal(status, 413, text);
    assert.match(text, /\r\nx-request-id: /i);
  });

  test('a body of just under 1 MB is read', async () => {
    const data = JSON.stringify({ text: 'How do I do a plank?', padding: 'x'.repeat(MEGABYTE - 60) });
    assert.ok(data.length <= MEGABYTE);
    await ask(server, JSON.parse(data));
  });

  test('a head over the limit is refused and the connection closed', async () => {
    const { status, text } = await raw(server, 'GET / HTTP/1.1\r\nHost: x\r\n', ...Array(16).fill(`X-Long: ${'y'.repeat(60_000)}\r\n`), '\r\n');
    assert.ok([0, 400, 431].includes(status), text.slice(0, 200));
  });

  test('the server goes on serving', async () => {
    assert.equal((await call(server, 'GET', '/api/health')).json.status, 'OK');
  });
});

describe('routes', () => {
  for (const path of ['/nothing', '/api/nothing', '/api/voice', '/api/voice/converse/more', '/media/', '/media/nothing.gif', '/coach.lua']) {
    test(`GET ${path} is 404`, async () => assertError(await call(server, 'GET', path), 404));
  }

  const wrongMethods = [['PUT', CONVERSE, 'POST'], ['GET', CONVERSE, 'POST'], ['POST', '/api/voice/open-stream?dialogueId=x', 'GET'],
    ['POST', '/api/health', 'GET'], ['DELETE', '/media/plank.gif', 'GET'], ['GET', '/api/voice/dialogues/x/interrupt', 'POST'],
    ['POST', '/api/voice/dialogues/x', 'DELETE']];
  for (const [method, path, allowed] of wrongMethods) {
    test(`${method} ${path} is 405 and ${allowed} is allowed`, async () => {
      const answer = await call(server, method, path);
      assertError(answer, 405);
      assert.ok(answer.headers.allow.split(/, */).includes(allowed), answer.headers.allow);
    });
  }

  for (const query of ['', '?', '?dialogueId=', '?dialogueid=x', '?follow=1']) {
    test(`open-stream${query} without an id is 400`, async () => {
      assert.match(assertError(await call(server, 'GET', `/api/voice/open-stream${query}`), 400), /dialogueId/);
    });
  }

  test('every answer bears an X-Request-Id of its own', async () => {
    const picture = await call(server, 'GET', '/media/plank.gif');
    const { dialogueId } = await ask(server, 'How do I do a plank?');
    const answers = [
      picture,
      await call(server, 'HEAD', '/media/plank.gif'),
      await call(server, 'GET', '/media/plank.gif', { headers: { 'If-None-Match': picture.headers.etag } }),
      await call(server, 'GET', '/'),
      await call(server, 'GET', '/api/health'),
      await call(server, 'GET', '/api/records?search=plank'),
      await call(server, 'DELETE', `/api/voice/dialogues/${dialogueId}`),
      await call(server, 'GET', '/nothing'),
    ];
    assert.deepEqual(answers.map(({ status }) => status), [200, 200, 304, 200, 200, 200, 204, 404]);
    const ids = answers.map(({ headers }) => headers['x-request-id']);
    ids.forEach((id, i) => assert.ok(id, `answer ${i} has none`));
    assert.equal(new Set(ids).size, ids.length);
  });
});

describe('paths out of the media root', () => {
  const up = ['../', '%2e%2e/', '%2E%2E%2F', '..%2f', '..%2F', '.%2e/', '%2e./', '%252e%252e%252f', '%252e%252e/', '..%252f', '..\\', '..%5c',
    '%2e%2e%5c', '..%255c', '%c0%ae%c0%ae/', '%c0%ae%c0%ae%c0%af', '..%c0%af', '%uff0e%uff0e/', '..;/', '....//', './../', './/../', '..%00/',
    '%00../', 'plank.gif/../../', 'plank.gif%00/../../', '/../', '//../', '%2f..%2f', 'nothing/../../', '..%0a/', '..%20/'];
  const targets = [
    ...up.map((step) => `/media/${step}exercises.json`),
    ...up.map((step) => `/media/${step.repeat(12)}etc/passwd`),
    '/media//etc/passwd', '/media/%2fetc%2fpasswd', '/media/%2fetc/passwd', '/media///etc/passwd', '//media/../etc/passwd', '/media/..//exercises.json',
    '/media/\\etc\\passwd', '/media/file:///etc/passwd', '/media/plank.gif%00', '/media/plank.gif%00.txt', '/media/%00plank.gif', '/media/.',
    '/media/plank.gif/', '/media/%', '/media/%2', '/media/%zz', '/media/?../exercises.json', '/media/../../routes/voice.lua', '/media/%2e%2e/exercises.json?x=.gif',
    '/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd', '/../../../../../../etc/passwd', '/..%2f..%2f..%2f..%2fetc/passwd', '/../data/exercises.json',
  ];
  const request = (target) => Buffer.from(`GET ${target} HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nConnection: close\r\n\r\n`, 'latin1');

  async function assertRefused(target) {
    const { status, text } = await raw(server, request(target));
    assert.ok(status < 200 || status > 299, `${JSON.stringify(target)} was answered ${status}`);
    assert.doesNotMatch(text, /root:|primaryMuscles|GIF8/, JSON.stringify(target));
  }

  test('are never answered with 2xx, however they are written', async () => {
    for (const target of targets) await assertRefused(target);
  });

  test('not in absolute form either, nor with bytes that no target may hold', async () => {
    const host = `http://127.0.0.1:${server.port}`;
    for (const target of [`${host}/media/../exercises.json`, `${host}/media/%2e%2e/exercises.json`, `${host}//etc/passwd`, '/media/plank.gif\0', '/media/\0/../exercises.json',
      '/media/..\xc0\xafexercises.json', '/media/\x01', 'media/plank.gif', '*', '/media/../ exercises.json']) {
      await assertRefused(target);
    }
  });

  test('while the picture itself is served', async () => {
    assert.equal((await raw(server, request('/media/plank.gif'))).status, 200);
  });
});
