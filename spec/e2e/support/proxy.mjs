// Proxies for tests: HTTP (CONNECT, and requests as they are), and SOCKS 5 with names that the proxy looks up.

import http from 'node:http';
import net from 'node:net';

async function listening(server) {
  const sockets = new Set();
  server.on('connection', (socket) => {
    sockets.add(socket.on('error', () => {}));
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => (sockets.forEach((socket) => socket.destroy()), server.close());
  return { port: server.address().port, close };
}

function join(one, other) {
  one.pipe(other).pipe(one);
  for (const [from, to] of [[one, other], [other, one]]) from.on('error', () => to.destroy()).on('close', () => to.destroy());
}

/** `credentials` ("user:password") are wanted when given. `refuse` (a status) is what CONNECT is answered with, when it is not 0. */
export async function startProxy({ credentials } = {}) {
  const proxy = { seen: [], refuse: 0 };
  const expected = credentials && `Basic ${Buffer.from(credentials).toString('base64')}`;
  const note = (request) => proxy.seen.push({ method: request.method, url: request.url, headers: request.headers });
  const stranger = (request) => expected !== undefined && request.headers['proxy-authorization'] !== expected;
  const server = http.createServer((request, answer) => {
    note(request);
    if (stranger(request)) return answer.writeHead(407, { 'Proxy-Authenticate': 'Basic realm="x"' }).end('who are you?');
    const { 'proxy-authorization': mine, ...headers } = request.headers;
    const onward = http.request(request.url, { method: request.method, headers, agent: false }, (from) => {
      answer.writeHead(from.statusCode, from.headers);
      from.pipe(answer);
    });
    onward.on('error', () => answer.writeHead(502).end('nobody is there'));
    return request.pipe(onward);
  });
  server.on('connect', (request, socket) => {
    note(request);
    const status = proxy.refuse || (stranger(request) ? 407 : 200);
    if (status !== 200) return socket.end(`HTTP/1.1 ${status} No\r\nX-Proxy: of no concern\r\nContent-Length: 4\r\n\r\nno!\n`);
    const [host, port] = request.url.split(':');
    const onward = net.connect(port, host, () => {
      socket.write('HTTP/1.1 200 Connection established\r\nX-Proxy: of no concern\r\n\r\n');
      join(socket, onward);
    });
    return onward.on('error', () => socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n'));
  });
  return Object.assign(proxy, await listening(server));
}

/** It knows one name and refuses all others. */
export async function startSocks(name) {
  const proxy = { seen: [] };
  const server = net.createServer((socket) => {
    socket.once('data', () => {
      socket.write(Buffer.from([5, 0])); // anybody may
      socket.once('data', (bytes) => {
        const host = bytes.subarray(5, 5 + bytes[4]).toString();
        const port = bytes.readUInt16BE(5 + bytes[4]);
        proxy.seen.push(`${bytes[3] === 3 ? 'name' : 'address'} ${host}`);
        const answer = (code) => Buffer.from([5, code, 0, 1, 0, 0, 0, 0, 0, 0]);
        if (host !== name) return socket.end(answer(2)); // not allowed by the rules
        const onward = net.connect(port, '127.0.0.1', () => {
          socket.write(answer(0));
          join(socket, onward);
        });
        return onward.on('error', () => socket.end(answer(5)));
      });
    });
  });
  return Object.assign(proxy, await listening(server));
}
