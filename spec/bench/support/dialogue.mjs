// One dialogue as a client has it, on a raw socket, with as little work on this side as possible: the audio is counted, not
// looked at, because client and server share the processors. The question and its stream go over one connection.

import net from 'node:net';

const TAIL = 4096; // the end of a stream is checked: done, complete and the last chunk of the HTTP body
const shared = Buffer.allocUnsafe(256 * 1024); // every socket reads into it; a read is looked at before the next

class Client {
  constructor(server, options, settle) {
    this.settle = settle;
    this.server = server;
    this.options = options;
    this.began = performance.now();
    this.head = '';
    this.bytes = 0;
    this.tail = Buffer.allocUnsafe(TAIL);
    this.tailLength = 0;
    this.asked = false;
    this.socket = net.connect({
      port: server.port,
      host: '127.0.0.1',
      noDelay: true,
      onread: { buffer: shared, callback: (length, buffer) => this.read(buffer.subarray(0, length)) },
    });
    this.socket.on('connect', () => this.ask());
    this.socket.on('error', (error) => this.end(error));
    this.socket.on('close', () => {
      if (/\n\n$/.test(this.tailText())) this.finish();
      this.end(new Error(`the connection ended after ${this.bytes} bytes: ${this.tailText()}`));
    });
  }

  ask() {
    const body = JSON.stringify({ text: this.options.text, voiceConfig: { enabled: this.options.voice !== false } });
    this.socket.write('POST /api/voice/converse HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n' +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  }

  read(part) {
    if (this.asked) this.count(part);
    else this.answer(part);
    return true;
  }

  /** The reply to the question is small, but may come in pieces. */
  answer(part) {
    this.head += part.toString('latin1');
    const [head, body] = this.head.split('\r\n\r\n', 2);
    const length = /\r\ncontent-length: (\d+)/i.exec(head);
    if (body === undefined || !length || body.length < Number(length[1])) return;
    const status = Number(head.slice(9, 12));
    if (status === 503) {
      this.end(null, { refused: true, retryAfter: Number(/\r\nretry-after: (\d+)/i.exec(head)?.[1] ?? 1) });
    } else if (status !== 200) {
      this.end(new Error(`asked: ${this.head}`));
    } else {
      this.asked = true;
      this.id = JSON.parse(body).dialogueId;
      const follow = this.options.follow ? '&follow=1' : '';
      this.socket.write(`GET /api/voice/open-stream?dialogueId=${this.id}${follow} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    }
  }

  count(part) {
    this.bytes += part.length;
    const keep = part.length > TAIL ? part.subarray(part.length - TAIL) : part;
    const over = this.tailLength + keep.length - TAIL;
    if (over > 0) {
      this.tail.copyWithin(0, over, this.tailLength);
      this.tailLength -= over;
    }
    this.tailLength += keep.copy(this.tail, this.tailLength);
    // A stream that was moved to where its dialogue is ends with the connection, one that was not with the last HTTP chunk; and
    // whoever follows has heard the answer when its last event is whole.
    const ends = this.options.follow ? /\n\n(\r\n)?$/ : /\r\n0\r\n\r\n$/;
    if (ends.test(this.tail.latin1Slice(Math.max(0, this.tailLength - 8), this.tailLength))) this.finish();
  }

  tailText() {
    return this.tail.latin1Slice(0, this.tailLength);
  }

  finish() {
    const text = this.tailText();
    const at = text.lastIndexOf('event: complete');
    if (at < 0) {
      if (!this.options.follow) this.end(new Error(`a stream without its end: ${text.slice(-300)}`));
      return;
    }
    const status = /"status":"(\w+)"/.exec(text.slice(at))?.[1];
    const chunks = Number(/"chunks":(\d+)/.exec(text.slice(at))?.[1]);
    if (status !== 'completed') this.end(new Error(`the turn ended ${status}`));
    else this.end(null, { chunks, bytes: this.bytes, ms: performance.now() - this.began });
  }

  end(error, result) {
    if (!this.settle) return;
    const settle = this.settle;
    this.settle = null;
    if (error || !this.options.follow || result.refused) this.socket.destroy();
    else this.socket.on('error', () => {}); // it stays to listen: whoever asked cuts it
    settle(error, result && { ...result, id: this.id, socket: this.socket });
  }
}

/**
 * Asks `options.text` and hears the answer to its end. Gives {chunks, bytes, ms, id}, or {refused, retryAfter} when the server
 * said 503. options: voice (default true); follow: the stream stays open, and its `socket` is the caller's to destroy.
 */
export function converse(server, options) {
  return new Promise((resolve, reject) => {
    new Client(server, options, (error, result) => (error ? reject(error) : resolve(result)));
  });
}
