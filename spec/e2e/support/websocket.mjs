// WebSockets frame by frame, over bare sockets: what a client library would never send can be sent, and what comes back is written
// down as it came.

import net from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';

import { within } from './server.mjs';

export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const MASK = Buffer.from([0x12, 0xfe, 0x34, 0x5a]);

/** A frame of a client. `length` lies about the payload; `size` is how many bytes say the length: 0, 2 or 8. */
export function frame(opcode, payload = '', { fin = true, rsv = 0, masked = true, length, size } = {}) {
  const data = Buffer.from(payload); // a copy
  const declared = length ?? data.length;
  const bytes = size ?? (declared < 126 ? 0 : declared < 65536 ? 2 : 8);
  const head = Buffer.alloc(2 + bytes);
  head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  head[1] = (masked ? 0x80 : 0) | (bytes === 0 ? declared : bytes === 2 ? 126 : 127);
  if (bytes === 2) head.writeUInt16BE(declared, 2);
  if (bytes === 8) head.writeBigUInt64BE(BigInt(declared), 2);
  if (!masked) return Buffer.concat([head, data]);
  for (let i = 0; i < data.length; i++) data[i] ^= MASK[i & 3];
  return Buffer.concat([head, MASK, data]);
}

/** The frames of a message in fragments of `size` bytes. */
export function fragments(opcode, payload, size) {
  const data = Buffer.from(payload);
  const frames = [];
  for (let at = 0; at === 0 || at < data.length; at += size) {
    frames.push(frame(at === 0 ? opcode : 0, data.subarray(at, at + size), { fin: at + size >= data.length }));
  }
  return frames;
}

export function closeFrame(code, reason = '') {
  if (code === undefined) return frame(CLOSE);
  const payload = Buffer.concat([Buffer.alloc(2), Buffer.from(reason)]);
  payload.writeUInt16BE(code, 0);
  return frame(CLOSE, payload);
}

export function handshake(path, headers = {}) {
  const all = {
    Host: 'localhost',
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': KEY,
    ...headers,
  };
  const lines = Object.entries(all).filter(([, value]) => value !== undefined);
  return `GET ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
}

/** One connection. `events` holds what came: {is: 'text'|'binary'|'ping'|'pong', data}, {is: 'close', code, reason}, and at last {is: 'end'}. */
export class Peer {
  constructor(port, options = {}) {
    this.events = [];
    this.head = null;
    this.waiting = [];
    this.input = Buffer.alloc(0);
    this.parts = [];
    this.message = [];
    this.socket = net.connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true, ...options });
    this.socket.on('data', (part) => this.#take(part));
    this.socket.on('end', () => this.#end('end'));
    this.socket.on('error', (error) => this.#end(error.code === 'EPIPE' ? 'end' : error.code));
    this.socket.on('close', () => this.#end('end'));
  }

  /** Connects and shakes hands; anything but 101 is an error. */
  static async open(server, path, headers) {
    const peer = new Peer(server.port);
    const { status, text } = await peer.ask(handshake(path, headers));
    if (status !== 101) throw new Error(`${status} instead of 101: ${text}`);
    return peer;
  }

  /** Sends a request; the head of its answer, and what follows when it is no 101. */
  async ask(request) {
    this.socket.write(request);
    await this.until(() => this.head !== null || this.ended, 'an answer to the handshake');
    return this.head ?? { status: 0, headers: {}, text: '' };
  }

  get ended() {
    return this.events.at(-1)?.is === 'end' || this.events.at(-1)?.is === 'ECONNRESET';
  }

  /** Sends, in pieces of `chop` bytes when that is given, each in a turn of the loop of its own. */
  async send(bytes, chop = 0) {
    for (let at = 0; at < bytes.length; at += chop || bytes.length) {
      if (this.socket.destroyed || this.ended) return;
      const took = this.socket.write(bytes.subarray(at, at + (chop || bytes.length)));
      if (!took) await Promise.race([new Promise((go) => this.socket.once('drain', go)), new Promise((go) => this.socket.once('close', go))]);
      else if (chop) await turn();
    }
  }

  /** Until the condition holds, which is asked whenever something comes. */
  until(condition, what = 'something', ms = 20_000) {
    if (condition()) return Promise.resolve();
    const met = new Promise((go) => this.waiting.push({ condition, go }));
    return within(ms, met, what).catch((error) => {
      throw new Error(`${error.message}; there is ${JSON.stringify(this.events.slice(-5)).slice(0, 500)}`);
    });
  }

  count(count, ms) {
    return this.until(() => this.events.length >= count || this.ended, `${count} events`, ms);
  }

  end(ms) {
    return this.until(() => this.ended, 'the end of the connection', ms);
  }

  destroy() {
    this.socket.destroy();
  }

  #tell(event) {
    this.events.push(event);
    this.#look();
  }

  #look() {
    const met = this.waiting.filter((one) => one.condition());
    this.waiting = this.waiting.filter((one) => !met.includes(one));
    for (const one of met) one.go();
  }

  #end(is) {
    if (this.ended) return;
    this.#tell({ is });
    this.socket.end();
  }

  #take(part) {
    this.parts.push(part);
    this.held = (this.held ?? 0) + part.length;
    if (this.held < (this.needed ?? 0)) return; // else a long frame would be copied again and again
    this.input = Buffer.concat([this.input, ...this.parts]);
    this.parts = [];
    this.held = 0;
    this.needed = 0;
    if (this.head === null && !this.#takeHead()) return;
    while (this.#takeFrame());
    this.#look();
  }

  #takeHead() {
    const end = this.input.indexOf('\r\n\r\n');
    if (end < 0) return false;
    const [first, ...fields] = this.input.subarray(0, end).toString('latin1').split('\r\n');
    const headers = Object.fromEntries(fields.map((field) => [field.slice(0, field.indexOf(':')).toLowerCase(), field.slice(field.indexOf(':') + 1).trim()]));
    const status = Number(first.slice(9, 12));
    if (status !== 101 && this.input.length < end + 4 + Number(headers['content-length'])) return false;
    this.head = { status, headers, text: status === 101 ? '' : this.input.subarray(end + 4).toString() };
    this.input = this.input.subarray(status === 101 ? end + 4 : this.input.length);
    return true;
  }

  #takeFrame() {
    const { input } = this;
    if (input.length < 2) return false;
    const size = [126, 127].includes(input[1] & 0x7f) ? (input[1] & 1 ? 8 : 2) : 0;
    if (input.length < 2 + size) return false;
    const length = size === 0 ? input[1] & 0x7f : size === 2 ? input.readUInt16BE(2) : Number(input.readBigUInt64BE(2));
    if (input.length < 2 + size + length) {
      this.needed = 2 + size + length - input.length;
      return false;
    }
    const data = input.subarray(2 + size, 2 + size + length);
    this.input = input.subarray(2 + size + length);
    this.#takePayload(input[0], input[1], data);
    return true;
  }

  #takePayload(first, second, data) {
    const opcode = first & 15;
    if (first & 0x70 || second & 0x80) this.#tell({ is: 'wrong', data });
    else if (opcode === CLOSE) this.#tell({ is: 'close', code: data.length < 2 ? undefined : data.readUInt16BE(0), reason: data.subarray(2).toString() });
    else if (opcode === PING || opcode === PONG) this.#tell({ is: opcode === PING ? 'ping' : 'pong', data });
    else {
      if (opcode !== 0) this.kind = opcode === TEXT ? 'text' : 'binary';
      this.message.push(data);
      if (!(first & 0x80)) return;
      this.#tell({ is: this.kind, data: Buffer.concat(this.message) });
      this.message = [];
    }
  }
}
