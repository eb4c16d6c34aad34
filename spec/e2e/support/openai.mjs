// A service with OpenAI's POST /chat/completions and /audio/speech that does what it is told, mostly badly.
//
// `service.chat` and `service.speech` name what happens next; `service.asked` is what was asked, each with `closed`: when its connection
// was closed before the answer was whole (performance.now()), or null.

import http from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';

const FRAME = Buffer.alloc(192); // MP3: 24 ms of silence, 24 kHz, 64 kbit/s, mono
FRAME.set([0xff, 0xf3, 0x84, 0xc0]);

/** An MP3 of so many milliseconds. */
export const mp3 = (ms) => Buffer.concat(Array.from({ length: Math.ceil(ms / 24) }, () => FRAME));

export const ANSWER = 'Set your forearms down – grün und größer 💪 – below your shoulders. Step both feet back, and make one straight line ' +
  'from head to heels. Breathe slowly through the whole hold. Twenty seconds are enough for the beginning.';

const event = (data) => `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;
const words = (text) => event({ object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content: text } }] });
const stop = (reason = 'stop') => event({ choices: [{ index: 0, delta: {}, finish_reason: reason }] }) + event('[DONE]');
const sse = (answer) => answer.writeHead(200, { 'Content-Type': 'text/event-stream' });
const fail = (answer, status, headers = {}) => {
  answer.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  answer.end('{"error":{"message":"no","type":"server_error"}}');
};

/** Writes as fast as the other side takes it, until that closes or `limit` bytes are out. */
async function pour(answer, part, limit = Infinity, asked = {}) {
  asked.poured = 0;
  while (!answer.destroyed && asked.poured < limit) {
    asked.poured += part.length;
    if (answer.write(part)) await pause(0);
    else await new Promise((go) => { // whichever comes first
      const on = () => (answer.off('drain', on), answer.off('close', on), go());
      answer.on('drain', on).on('close', on);
    });
  }
  answer.end();
}

async function bytewise(answer, bytes) {
  answer.socket.setNoDelay(true);
  for (const byte of bytes) {
    if (answer.destroyed) return;
    answer.write(Buffer.from([byte]));
    await pause(0);
  }
  answer.end();
}

const chats = {
  async good(answer) {
    sse(answer);
    answer.write(event({ choices: [{ index: 0, delta: { role: 'assistant', content: '' } }] }));
    for (const word of ANSWER.match(/\S+\s*/g)) answer.write(words(word));
    answer.write(event({ choices: [], usage: { total_tokens: 9 } }));
    answer.end(stop());
  },
  split: (answer) => {
    sse(answer);
    return bytewise(answer, Buffer.from(ANSWER.match(/\S+\s*/g).map(words).join('') + stop()));
  },
  thinking(answer) {
    sse(answer);
    answer.write(event({ choices: [{ delta: { reasoning_content: 'secretly' } }] }));
    for (const part of ['<thi', 'nk>they want ', 'a plank</th', 'ink>\n\n', 'Lie ', 'down. ', '<', ' 5 minutes are ', 'enough.']) answer.write(words(part));
    answer.write(event({ choices: [{ delta: { tool_calls: [{ index: 0, function: { name: 'f', arguments: '{}' } }] } }] }));
    answer.end(stop('tool_calls'));
  },
  async slowly(answer) { // forever
    sse(answer);
    answer.write(words('It begins well, and the first sentence is there. '));
    for (let i = 0; !answer.destroyed; ++i) {
      answer.write(words(`Then comes word ${i}, and so on. `));
      await pause(20);
    }
  },
  endless: (answer) => (sse(answer), pour(answer, Buffer.from(words('and so on it goes and goes. ').repeat(50)))),
  hang() {},
  stall: (answer) => (sse(answer), answer.write(words('It begins well, and the first sentence is there. Then'))),
  cut: (answer) => (sse(answer), answer.write(words('It begins well, and the first sentence is there. Then'), () => answer.destroy())),
  unfinished: (answer) => (sse(answer), answer.end(words('It begins well, and the first sentence is there. Then'))),
  garbage: (answer) => (sse(answer), answer.end('data: {"choices": [{"del\n\ndata: \xff\xfe\n\n')),
  page: (answer) => answer.writeHead(200, { 'Content-Type': 'text/html' }).end('<html><body>Welcome to the proxy</body></html>'),
  huge: (answer) => (sse(answer), pour(answer, Buffer.alloc(65536, 'x'), 200 * 1024 * 1024)), // one event
  broken: (answer) => (sse(answer), answer.end(event({ error: { message: 'overloaded' } }))),
  silent: (answer) => (sse(answer), answer.end(stop())),
  limited: (answer) => fail(answer, 429, { 'Retry-After': '1' }),
  poison: (answer) => fail(answer, 500),
};

const speeches = {
  good: (answer, asked) => answer.writeHead(200, { 'Content-Type': 'audio/mpeg' }).end(mp3(60 * asked.body.input.length)),
  slowly: async (answer) => {
    answer.writeHead(200, { 'Content-Type': 'audio/mpeg' });
    while (!answer.destroyed) {
      answer.write(FRAME);
      await pause(20);
    }
  },
  split: (answer) => bytewise(answer, mp3(24)),
  hang() {},
  stall: (answer) => answer.writeHead(200, { 'Content-Type': 'audio/mpeg' }).write(FRAME),
  cut: (answer) => answer.writeHead(200, { 'Content-Length': '9999' }).write(FRAME, () => answer.destroy()),
  garbage: (answer) => answer.writeHead(200, { 'Content-Type': 'audio/mpeg' }).end('<html>Welcome to the proxy</html>'),
  page: (answer) => answer.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end('<html>Welcome to the proxy!</html>'),
  torn: (answer) => answer.writeHead(200, { 'Content-Type': 'audio/mpeg' }).end(Buffer.from([0xff])),
  silent: (answer) => answer.writeHead(200, { 'Content-Type': 'audio/mpeg' }).end(),
  huge: (answer) => answer.writeHead(200, { 'Content-Length': '9999999' }).write(FRAME), // so it says
  endless: (answer, asked) => pour(answer, mp3(24 * 50), 2000 * 1024 * 1024, asked),
  late_stall: (answer) => answer.writeHead(200, { 'Content-Type': 'audio/mpeg' }).write(mp3(2000)),
  late_cut: (answer) => answer.writeHead(200, { 'Content-Length': '99999' }).write(mp3(2000), () => answer.destroy()),
  late_garbage: (answer) => answer.writeHead(200, { 'Content-Type': 'audio/mpeg' }).end(Buffer.concat([mp3(2000), Buffer.alloc(9999, 'no ')])),
  async sound(answer, asked, service) { // service.sound, in small parts
    answer.writeHead(200, { 'Content-Type': 'application/octet-stream' });
    answer.socket.setNoDelay(true);
    for (let at = 0; at < service.sound.length && !answer.destroyed; at += 3001) {
      answer.write(service.sound.subarray(at, at + 3001));
      await pause(0);
    }
    answer.end();
  },
  limited: (answer) => fail(answer, 429, { 'Retry-After': '1' }),
  poison: (answer) => fail(answer, 500),
};

export async function startOpenAI() {
  const service = { chat: 'good', speech: 'good', asked: [], url: '', openConnections: 0 };
  const server = http.createServer({ keepAliveTimeout: 60_000 }, (request, answer) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('error', () => {});
    answer.on('error', () => {});
    request.on('end', () => {
      const kind = request.url.endsWith('/audio/speech') ? 'speech' : 'chat';
      const asked = { kind, path: request.url, headers: request.headers, body: JSON.parse(Buffer.concat(parts)), closed: null };
      service.asked.push(asked);
      answer.on('close', () => {
        if (!answer.writableFinished) asked.closed = performance.now();
      });
      void (kind === 'speech' ? speeches : chats)[service[kind]](answer, asked, service);
    });
  });
  server.on('connection', (socket) => {
    service.openConnections++;
    socket.on('close', () => service.openConnections--);
    socket.on('error', () => {});
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  service.url = `http://127.0.0.1:${server.address().port}/v1`;
  service.stop = () => new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections?.();
  });
  service.of = (kind) => service.asked.filter((asked) => asked.kind === kind);
  return service;
}

/** The arguments for a server that words and speaks its answers there. A service that pours leaves a script nothing to wait for. */
export function useOpenAI(url, ...more) {
  const settings = ['script_slice=1min', 'llm=openai', `llm_url=${url}`, 'tts=openai', `tts_url=${url}`, ...more];
  return settings.flatMap((setting) => ['--set', setting]);
}
