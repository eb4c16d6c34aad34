// What the tests say to the server: plain requests, raw bytes, and an event stream read line by line.
// Every request has a connection of its own, so that no pool hides a socket from the ledger.

import assert from 'node:assert/strict';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';

import { within } from './server.mjs';

/** By the scheme of server.url; server.tls has what a client needs for it (support/tls.mjs). */
const transport = (server) => (server.url.startsWith('https:') ? https : http);

/** One request; the answer's `json` is undefined when its body is none. */
export function call(server, method, path, { body, headers = {} } = {}) {
  const answer = new Promise((resolve, reject) => {
    const request = transport(server).request(server.url + path, { method, headers, agent: false, ...server.tls }, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(parts).toString();
        resolve({ status: response.statusCode, headers: response.headers, text, json: parsed(text) });
      });
    });
    request.on('error', reject);
    request.end(body);
  });
  return within(10_000, answer, `${method} ${path}`);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function post(server, path, data, headers = {}) {
  const body = typeof data === 'string' || Buffer.isBuffer(data) ? data : JSON.stringify(data);
  return call(server, 'POST', path, {
    body,
    headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body), ...headers },
  });
}

let asked = 0;

/**
 * Asks a question; the reply, which must be a success. Each asker calls itself something else, or the same question
 * asked by the next test would count as the same one asked twice.
 */
export async function ask(server, question, headers = { 'User-Agent': `asker/${++asked}` }) {
  const data = typeof question === 'string' ? { text: question } : question;
  const { status, json, text } = await post(server, '/api/voice/converse', data, headers);
  assert.equal(status, 200, text);
  assert.equal(json.success, true);
  assert.match(json.dialogueId, /^\S+$/);
  assert.equal(typeof json.thinkingIndicator.type, 'string');
  return json;
}

export const streamPath = (id, more = '') => `/api/voice/open-stream?dialogueId=${encodeURIComponent(id)}${more}`;

/**
 * An event stream, read as it comes. `events` grows; `until(test)` waits for an event; `ended` resolves when the
 * server has ended the stream; `cut()` breaks the connection without a word.
 */
export async function openStream(server, id, { lastEventId, more } = {}) {
  const headers = { Accept: 'text/event-stream' };
  if (lastEventId !== undefined) headers['Last-Event-ID'] = lastEventId;
  const opened = new Promise((resolve, reject) => {
    const request = transport(server).get(server.url + streamPath(id, more), { headers, agent: false, ...server.tls }, (response) => {
      resolve(follow(request, response));
    });
    request.on('error', reject);
  });
  return within(10_000, opened, 'an answer to open-stream');
}

function follow(request, response) {
  const stream = { status: response.statusCode, headers: response.headers, events: [], text: '', closed: false };
  const waiting = new Set();
  let rest = '';
  const look = () => waiting.forEach((check) => check());

  response.setEncoding('utf8');
  response.on('data', (text) => {
    stream.text += text;
    const blocks = (rest + text).split('\n\n');
    rest = blocks.pop();
    for (const block of blocks) stream.events.push(parseBlock(block));
    look();
  });
  response.on('error', () => {}); // a cut connection; 'close' follows
  stream.ended = new Promise((resolve) => {
    response.on('close', () => {
      stream.closed = true;
      resolve(response.complete);
      look();
    });
  });
  stream.cut = () => request.destroy();
  stream.until = (test, what = 'an event', ms = 15_000) => within(ms, new Promise((resolve, reject) => {
    const check = () => {
      const event = stream.events.find(test);
      if (!event && !stream.closed) return;
      waiting.delete(check);
      if (event) resolve(event);
      else reject(new Error(`the stream ended before ${what}: ${stream.text.slice(0, 500)}`));
    };
    waiting.add(check);
    check();
  }), what);
  return stream;
}

/** {name, id, data, retry} of one block of lines. */
export function parseBlock(block) {
  const event = { name: 'message', id: null, data: null, retry: null };
  for (const line of block.split('\n')) {
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (field === 'event') event.name = value;
    else if (field === 'id') event.id = value;
    else if (field === 'retry') event.retry = Number(value);
    else if (field === 'data') event.data = JSON.parse(value);
  }
  return event;
}

/** The events that belong to the dialogue's log: not pings, not what is said to one listener only. */
export const logged = (events) => events.filter((event) => event.data && !['ping', 'gap', 'dropped'].includes(event.name));

export const named = (events, name) => events.filter((event) => event.name === name);

/** Everything of a turn, to the end of its stream. */
export async function readTurn(server, id, options) {
  const stream = await openStream(server, id, options);
  assert.equal(stream.status, 200, stream.text);
  const whole = await within(30_000, stream.ended, 'the end of the turn');
  assert.ok(whole, 'the stream must end, not break');
  return { ...stream, events: logged(stream.events) };
}

/** [epoch, seq] of an event. */
export function place(event) {
  assert.match(String(event.id), /^[1-9]\d*\.[1-9]\d*$/, `id of ${event.name}`);
  return event.id.split('.').map(Number);
}

/** Asserts that the events stand in the dialogue's log one after the other, beginning with `first`. */
export function assertConsecutive(events, epoch, first) {
  events.forEach((event, i) => assert.deepEqual(place(event), [epoch, first + i], event.name));
}

export const lastStatus = (events) => named(events, 'done')[0]?.data.status;

/** The number of samples in a WAV file given as base64, after checking that it is one. */
export function wavSamples(base64) {
  const wav = Buffer.from(base64, 'base64');
  assert.equal(wav.toString('latin1', 0, 4), 'RIFF');
  assert.equal(wav.toString('latin1', 8, 12), 'WAVE');
  assert.equal(wav.readUInt32LE(4) + 8, wav.length, 'the RIFF size');
  let format = null;
  for (let at = 12; at + 8 <= wav.length;) {
    const size = wav.readUInt32LE(at + 4);
    const kind = wav.toString('latin1', at, at + 4);
    if (kind === 'fmt ') format = { tag: wav.readUInt16LE(at + 8), rate: wav.readUInt32LE(at + 12), frame: wav.readUInt16LE(at + 20) };
    if (kind === 'data') {
      assert.ok(format, 'fmt comes before data');
      assert.equal(format.tag, 1, 'PCM');
      assert.ok(format.rate >= 8000);
      assert.equal(at + 8 + size, wav.length, 'the data size');
      return size / format.frame;
    }
    at += 8 + size + (size % 2);
  }
  return assert.fail('no data in this WAV');
}

/**
 * Bytes straight to the socket, for what an HTTP client would not send. After the first piece the server gets a moment
 * to answer before the rest goes out, as a careful client would give it; nothing more is sent once it has answered.
 * Gives {status, text} of what came back, status 0 when the server only closed.
 */
export function raw(server, ...pieces) {
  const exchange = new Promise((resolve) => {
    const parts = [];
    const socket = net.connect(server.port, '127.0.0.1');
    const sendNext = () => {
      if (parts.length || socket.destroyed || !pieces.length) return;
      socket.write(pieces.shift(), sendNext);
    };
    socket.on('connect', () => {
      socket.write(pieces.shift());
      setTimeout(sendNext, 150);
    });
    socket.on('data', (part) => parts.push(part));
    socket.on('error', () => {}); // a reset after the answer is fine; 'close' follows
    socket.on('close', () => {
      const text = Buffer.concat(parts).toString('latin1');
      resolve({ status: Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1] ?? 0), text });
    });
  });
  return within(10_000, exchange, 'a raw exchange');
}
