// Clients that are in the middle of something: each visit brings a connection to a point where leaving hurts. What they ask is in
// APP. The same over a bare socket and over TLS; HTTP/2 has its own.

import http2 from 'node:http2';
import net from 'node:net';
import { Duplex } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import tls from 'node:tls';

import { TEXT, frame, handshake } from './websocket.mjs';

export const APP = `local function flow(turn) for i = 1, 200 do turn:push('words', { text = i }) fitnessally.sleep(20) end end
app:get('/hello', function(req) req:reply { text = 'hello' } end)
app:get('/wait', function(req) fitnessally.sleep(1000) req:reply { text = 'late' } end)
app:post('/upload', { max_body = '25MB' }, function(req) req:reply { text = tostring(req.body:len()) } end)
app:get('/events', function(req)
  local events = req:events {}
  while events:send { data = ('x'):rep(1000) } do fitnessally.sleep(5) end
end)
app:get('/pour', function(req)
  local events = req:events {}
  while events:send { data = ('x'):rep(60000) } do end
end)
app:get('/ask', function(req) req:reply { text = voice.ask(req, { text = req.id, flow = flow, context = 0 }).dialogueId } end)
app:get('/listen/:id', function(req) voice.listen(req, req.params.id) end)
app:websocket('/echo', { max_message = '16MB' }, function(ws) for message in ws:messages() do ws:send(message) end end)
app:websocket('/shout', function(ws) while ws:send { text = ('x'):rep(60000) } do end end)
app:websocket('/deaf', function(ws) fitnessally.sleep(1000) end)\n`;

const get = (path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
const post = (length) => `POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`;

/** What has come, and a wait for more. */
function reader(socket) {
  let got = '', look = () => {};
  socket.on('data', (bytes) => {
    got = (got + bytes.toString('latin1')).slice(-100_000);
    look();
  });
  return (pattern) => new Promise((resolve, reject) => {
    look = () => pattern.test(got) && resolve(got);
    socket.once('close', () => reject(new Error(`closed before ${pattern}: ${got.slice(0, 300)}`)));
    look();
  });
}

async function askFor(socket, path, pattern = /\r\n\r\n[^]/) {
  socket.write(get(path));
  return reader(socket)(pattern);
}

async function upgrade(socket, path) {
  socket.write(handshake(path));
  await reader(socket)(/ 101 /);
}

/** [what, how far it goes: socket => promise]. */
export const VISITS = [
  ['that says nothing', async () => {}],
  ['with half a head', async (socket) => socket.write('GET /hello HTTP/1.1\r\nHos')],
  ['that was answered', async (socket) => askFor(socket, '/hello', /hello$/)],
  ['that was answered and has begun the next head', async (socket) => {
    await askFor(socket, '/hello', /hello$/);
    socket.write('GET /he');
  }],
  ['that was refused', async (socket) => {
    socket.write('GET /hello HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n');
    await reader(socket)(/ 400 /);
  }],
  ['whose handler works', async (socket) => {
    socket.write(get('/wait'));
    await pause(20);
  }],
  ['half-way in an upload', async (socket) => {
    socket.write(post(20_000_000));
    socket.write(Buffer.alloc(3_000_000));
    await pause(20);
  }],
  ['half-way in an upload in chunks', async (socket) => {
    socket.write('POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n');
    socket.write(Buffer.alloc(500_000));
    await pause(20);
  }],
  ['that asks for 50 answers at once', async (socket) => {
    socket.write(get('/hello').repeat(50));
    await reader(socket)(/hello/);
  }],
  ['that asks for large files at once and reads little', async (socket) => {
    socket.write(get('/media/large.bin').repeat(5));
    await reader(socket)(/\r\n\r\n/);
    socket.pause();
    await pause(20);
  }],
  ['in the middle of a file of 4 MB', async (socket) => {
    socket.write(get('/media/large.bin'));
    await reader(socket)(/\r\n\r\n[^]/);
  }],
  ['that hears events', async (socket) => askFor(socket, '/events', /data: x/)],
  ['that takes no more events', async (socket) => {
    await askFor(socket, '/pour', /data: x/);
    socket.pause();
    await pause(20);
  }],
  ['that listens to a dialogue', async (socket) => {
    const [id] = /vd-\w+/.exec(await askFor(socket, '/ask', /vd-\w+$/));
    socket.write(get(`/listen/${id}`));
    await reader(socket)(/event: ping/);
  }],
  ['with a WebSocket', async (socket) => {
    await upgrade(socket, '/echo');
    socket.write(frame(TEXT, 'hello'));
    await reader(socket)(/hello/);
  }],
  ['in the middle of a message', async (socket) => {
    await upgrade(socket, '/echo');
    socket.write(frame(TEXT, 'x'.repeat(1_000_000)).subarray(0, 700_000));
    await pause(20);
  }],
  ['that takes no more messages', async (socket) => {
    await upgrade(socket, '/shout');
    socket.pause();
    await pause(20);
  }],
  ['whose messages nobody receives', async (socket) => {
    await upgrade(socket, '/deaf');
    socket.write(Buffer.concat(Array(600).fill(frame(TEXT, 'x'.repeat(1000)))));
    await pause(20);
  }],
];

/** Its faults are nobody's business. */
function bare(port) {
  return net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {});
}

/** {socket, raw}: `secure` is a version of TLS, 'below' for what lies below TLS, or nothing. */
export function visitor(server, secure) {
  const raw = bare(secure ? server.securePort : server.port);
  if (!secure || secure === 'below') return { raw, socket: raw };
  const socket = tls.connect({ socket: raw, rejectUnauthorized: false, minVersion: secure, maxVersion: secure, allowHalfOpen: true });
  socket.on('error', () => {});
  return { raw, socket };
}

/** What a client of TLS says first. */
function hello() {
  return new Promise((resolve) => {
    const nobody = new Duplex({ read() {}, write(bytes, encoding, done) { resolve(bytes); done(); } });
    tls.connect({ socket: nobody, rejectUnauthorized: false }).on('error', () => {});
  });
}

/** The same as VISITS, but below TLS: clients whose handshake is not over. */
export const HANDSHAKES = [
  ['that says nothing', connected],
  ['half-way in its hello', async (raw) => raw.write((await hello()).subarray(0, 90))],
  ['that has the certificate', async (raw) => {
    raw.write(await hello());
    await new Promise((resolve) => raw.once('data', resolve));
  }],
  ['that does not speak TLS', async (raw) => {
    raw.write(get('/hello'));
    await pause(10);
  }],
];

function connected(raw) {
  return new Promise((resolve) => raw.once('connect', resolve));
}

/** [what, how far it goes: (server) => promise of the raw socket], for HTTP/2. */
export const VISITS_2 = [
  ['that was answered', (session) => answered(session, '/hello')],
  ['whose handler works', async (session) => {
    session.request({ ':path': '/wait' }).on('error', () => {});
    await pause(20);
  }],
  ['half-way in an upload', async (session) => {
    const stream = session.request({ ':method': 'POST', ':path': '/upload' }).on('error', () => {});
    stream.write(Buffer.alloc(200_000));
    await pause(20);
  }],
  ['in the middle of ten files of 4 MB', async (session) => {
    const streams = Array.from({ length: 10 }, () => session.request({ ':path': '/media/large.bin' }).on('error', () => {}));
    await Promise.all(streams.map((stream) => new Promise((resolve) => stream.once('response', resolve))));
  }],
  ['that hears events', (session) => answered(session, '/events')],
  ['that takes no more events', async (session) => {
    const stream = session.request({ ':path': '/pour' }).on('error', () => {});
    await new Promise((resolve) => stream.once('response', resolve));
    await pause(20);
  }],
];

function answered(session, path) {
  const stream = session.request({ ':path': path }).on('error', () => {});
  return new Promise((resolve) => stream.once('data', resolve));
}

/** A client of HTTP/2: {session, raw}, once it is connected. */
export async function visitor2(server) {
  const raw = bare(server.securePort);
  await connected(raw);
  const socket = tls.connect({ socket: raw, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('secureConnect', resolve));
  const session = http2.connect(server.url, { createConnection: () => socket });
  session.on('error', () => {});
  return { session, raw };
}
