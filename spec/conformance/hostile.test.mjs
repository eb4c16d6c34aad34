// Each request of hostile.mjs has exactly the answer that stands there: a refusal in the one shape of our errors, after
// which the connection is closed and nothing that was hidden behind it is answered; or an answer, and the next one too.
// Whole, in two halves, and byte by byte: a verdict must not depend on how the bytes arrive.

import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises';
import tls from 'node:tls';

import { call } from '../e2e/support/client.mjs';
import { SLOW, startServer, within } from '../e2e/support/server.mjs';
import { makeCertificates, startSecureServer } from '../e2e/support/tls.mjs';
import { everything } from './hostile.mjs';

const BEHIND = 'GET /api/health?behind HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';
const CODES = { 400: 'bad_request', 408: 'request_timeout', 413: 'body_too_large', 414: 'target_too_long', 417: 'expectation_failed',
  431: 'head_too_large', 501: 'not_implemented', 505: 'version_not_supported' };
const GONE = ['dialogue', 'turn', 'request', 'listener', 'transfer'];

function open(server) {
  const how = { host: '127.0.0.1', noDelay: true, allowHalfOpen: true };
  return server.securePort ? tls.connect({ ...how, ...server.tls, port: server.securePort }) : net.connect({ ...how, port: server.port });
}

/** Sends the pieces, one turn of the loop apart, and reads until the server closes; under TLS by its word (close_notify). */
function exchange(server, pieces) {
  const ended = new Promise((resolve, reject) => {
    const parts = [];
    const socket = open(server);
    socket.on('data', (part) => parts.push(part));
    socket.on('end', () => {
      resolve(Buffer.concat(parts).toString('latin1'));
      socket.destroy();
    });
    socket.on('error', (error) => (error.code === 'EPIPE' ? 0 : reject(new Error(`${error.code} after ${Buffer.concat(parts)}`))));
    socket.on(server.securePort ? 'secureConnect' : 'connect', async () => {
      for (const piece of pieces) {
        if (socket.destroyed || socket.readableEnded) return;
        socket.write(piece);
        if (pieces.length > 1) await turn();
      }
    });
  });
  return within(30_000, ended, 'the server to close the connection');
}

/** [{ status, headers, body }], which must make up the whole text. */
function answersIn(text) {
  const answers = [];
  while (text !== '') {
    const end = text.indexOf('\r\n\r\n');
    assert.ok(end > 0, `no head: ${text.slice(0, 200)}`);
    const [first, ...fields] = text.slice(0, end).split('\r\n');
    const headers = Object.fromEntries(fields.map((field) => [field.slice(0, field.indexOf(':')).toLowerCase(), field.slice(field.indexOf(':') + 1).trim()]));
    assert.match(first, /^HTTP\/1\.1 \d{3} /);
    const status = Number(first.slice(9, 12));
    const length = status === 100 ? 0 : Number(headers['content-length']);
    assert.ok(Number.isInteger(length), `no length: ${text.slice(0, end)}`);
    answers.push({ status, headers, body: text.slice(end + 4, end + 4 + length) });
    text = text.slice(end + 4 + length);
  }
  return answers;
}

function assertRefusal({ status, headers, body }, wanted) {
  assert.equal(status, wanted, body);
  assert.equal(headers.connection, 'close');
  assert.match(headers['content-type'], /^application\/json/);
  assert.equal(headers['cache-control'], 'no-store');
  const { code, message, requestId } = JSON.parse(body).error;
  assert.equal(code, CODES[status]);
  assert.ok(message.length > 5);
  assert.equal(requestId, headers['x-request-id']);
  assert.match(requestId, /^[A-Za-z0-9._-]+$/);
}

async function check(server, bytes, wanted, pieces) {
  const answers = answersIn(await exchange(server, pieces));
  const statuses = answers.map(({ status }) => status);
  if (Array.isArray(wanted)) {
    assert.deepEqual(statuses, [...wanted, 200]);
    return;
  }
  assert.deepEqual(statuses, [wanted], 'nothing else is answered');
  assertRefusal(answers[0], wanted);
}

const half = (bytes) => [bytes.subarray(0, bytes.length / 2), bytes.subarray(bytes.length / 2)];
const single = (bytes) => Array.from(bytes, (byte) => Buffer.of(byte));

async function assertNothingLeft(server) {
  const until = Date.now() + 15_000 * SLOW;
  for (;;) {
    const { json } = await call(server, 'GET', '/api/health/memory');
    const left = GONE.filter((kind) => (json.ledger.byKind[kind]?.count ?? 0) > (kind === 'request' ? 1 : 0));
    if (left.length === 0) return;
    assert.ok(Date.now() < until, `left in the ledger: ${left}`);
    await pause(50);
  }
}

describe('hostile requests', () => {
  let server;
  before(async () => (server = await startServer('--set', 'head_timeout=120s', '--set', 'body_rate=0')));
  after(() => server?.stop());

  test('there are at least 150 of them', () => {
    assert.ok(everything.filter(([, , answer]) => !Array.isArray(answer)).length >= 150);
    assert.equal(new Set(everything.map(([what]) => what)).size, everything.length, 'each has a name of its own');
  });

  for (const [what, text, answer, how] of everything) {
    const bytes = Buffer.from(text + BEHIND, 'latin1');
    test(`${what}: ${Array.isArray(answer) ? 'is served' : answer}`, async () => {
      await check(server, text, answer, [bytes]);
      if (how === 'at once') return;
      await check(server, text, answer, half(bytes));
      if (bytes.length < 1000) await check(server, text, answer, single(bytes));
    });
  }

  test('nothing is left of them', () => assertNothingLeft(server));
});

describe('hostile requests under TLS', () => {
  let server;
  before(async () => (server = await startSecureServer(makeCertificates('alpha'), ['alpha'], '--set', 'head_timeout=120s', '--set', 'body_rate=0')));
  after(() => server?.stop());

  for (const [what, text, answer, how] of everything) {
    const bytes = Buffer.from(text + BEHIND, 'latin1');
    test(`${what}: ${Array.isArray(answer) ? 'is served' : answer}`, async () => {
      await check(server, text, answer, [bytes]);
      if (how !== 'at once') await check(server, text, answer, half(bytes)); // a record for each
    });
  }

  test('nothing is left of them', () => assertNothingLeft(server));
});

describe('requests that do not come to an end', () => {
  const H = 'Host: x\r\n';
  const POST = `POST /api/nothing HTTP/1.1\r\n${H}`;
  const cases = [
    ['a head', `GET / HTTP/1.1\r\n${H}A: b`, [408]],
    ['a request line', 'GET / HT', [408]],
    ['a head behind an answer', `GET /api/health HTTP/1.1\r\n${H}\r\nGET /api/health HTTP/1.1\r\n`, [200, 408]],
    ['a declared body', `${POST}Content-Length: 10\r\n\r\n12345`, [408]],
    ['a chunk', `${POST}Transfer-Encoding: chunked\r\n\r\n5\r\n123`, [408]],
    ['a chunk size', `${POST}Transfer-Encoding: chunked\r\n\r\n5`, [408]],
    ['trailers', `${POST}Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n`, [408]],
    ['a body that was waited for', `${POST}Expect: 100-continue\r\nContent-Length: 10\r\n\r\n`, [100, 408]],
    ['nothing at all', '', []],
    ['an empty line', '\r\n', []],
    ['silence behind an answer', `GET /api/health HTTP/1.1\r\n${H}\r\n`, [200]],
  ];
  const settings = ['--set', 'head_timeout=500ms', '--set', 'request_timeout=1s', '--set', 'idle_timeout=500ms'];
  const begin = { plain: () => startServer(...settings), TLS: () => startSecureServer(makeCertificates('alpha'), ['alpha'], ...settings) };

  for (const [kind, start] of Object.entries(begin)) {
    describe(kind, () => {
      let server;
      before(async () => (server = await start()));
      after(() => server?.stop());

      for (const [what, text, wanted] of cases) {
        test(`${what}: ${wanted.length === 0 ? 'closed without a word' : wanted.join(', ')}`, async () => {
          const answers = answersIn(await exchange(server, [text]));
          assert.deepEqual(answers.map(({ status }) => status), wanted);
          if (wanted.at(-1) === 408) assertRefusal(answers.at(-1), 408);
        });
      }

      test('nothing is left of them', () => assertNothingLeft(server));
    });
  }
});
