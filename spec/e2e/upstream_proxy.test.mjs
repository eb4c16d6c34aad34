// Upstreams through proxies: requests as they are, tunnels, those that refuse, and what must not get to whom.

import assert from 'node:assert/strict';
import https from 'node:https';
import net from 'node:net';
import { after, before, test } from 'node:test';

import { makeAuthority } from './support/authority.mjs';
import { startProxy, startSocks } from './support/proxy.mjs';
import { get, startApp, startService } from './support/upstreams.mjs';

const PASSWORD = 'proxy-password-3141';
const TOKEN = 'token-of-the-service-2718';
let plain, secure, open, closed, socks, server;

before(async () => {
  const authority = makeAuthority();
  plain = await startService((request, answer) => answer.end(JSON.stringify({ url: request.url, ...request.headers })));
  secure = https.createServer(authority.sign('secure', ['DNS:localhost']).identity, (request, answer) => answer.end(JSON.stringify(request.headers)));
  await new Promise((resolve) => secure.listen(0, '127.0.0.1', resolve));
  open = await startProxy();
  closed = await startProxy({ credentials: `me:${PASSWORD}` });
  socks = await startSocks('service.socks');
  const nobody = await new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', function listening() {
      const { port } = this.address();
      server.close(() => resolve(port));
    });
  });
  const https_ = `https://localhost:${secure.address().port}`;
  const upstreams = {
    plain: [plain.url, `http://127.0.0.1:${open.port}`],
    tunnel: [https_, `http://127.0.0.1:${open.port}`],
    known: [https_, `http://me:${PASSWORD}@127.0.0.1:${closed.port}`],
    known_plain: [plain.url, `http://me:${PASSWORD}@127.0.0.1:${closed.port}`],
    stranger: [https_, `http://me:not-${PASSWORD}@127.0.0.1:${closed.port}`],
    nowhere: [https_, `http://me:${PASSWORD}@127.0.0.1:${nobody}`],
    nameless: [https_, `http://me:${PASSWORD}@nowhere.invalid:1`],
    beyond: [`https://localhost:${nobody}`, `http://127.0.0.1:${open.port}`],
    socks: [`http://service.socks:${new URL(plain.url).port}`, `socks5h://127.0.0.1:${socks.port}`],
    no_socks: ['http://other.socks', `socks5h://me:${PASSWORD}@127.0.0.1:${socks.port}`],
  };
  const settings = Object.entries(upstreams).flatMap(([name, [url, proxy]]) => [`url=${url}`, `proxy=${proxy}`, `token=${TOKEN}`, `ca_file=${authority.ca}`,
    'retry_base=1ms'].map((one) => `upstreams.${name}.${one}`));
  Object.assign(process.env, { http_proxy: `http://127.0.0.1:${nobody}`, https_proxy: `http://127.0.0.1:${nobody}`, no_proxy: '*' });
  server = await startApp(plain, ...settings.flatMap((one) => ['--set', one]));
});
after(async () => {
  await server?.stop();
  await plain?.close();
  secure?.close();
  [open, closed, socks].forEach((proxy) => proxy?.close());
});

async function fails(name, kind, { message, attempts = 1, retryable = false }) {
  const { status, text } = await get(server, `/post?up=${name}`);
  assert.equal(status, 502, text);
  const told = JSON.parse(text);
  assert.deepEqual([told.kind, told.attempts, told.retryable], [kind, attempts, retryable], text);
  assert.match(told.message, message);
  assert.ok(!text.includes(PASSWORD), text);
}

test("the environment's proxies are not used", async () => {
  assert.equal((await get(server, '/get?path=/x')).status, 200);
});

test('in the clear: the proxy gets the request', async () => {
  const { text } = await get(server, '/get?up=plain&path=/a%3Fb');
  assert.equal(JSON.parse(text).url, '/a?b');
  assert.equal(open.seen.at(-1).url, `${plain.url}/a?b`);
  assert.equal(JSON.parse((await get(server, '/get?up=known_plain')).text)['proxy-authorization'], undefined);
});

test('a tunnel: the proxy gets an address and nothing else', async () => {
  const { status, text } = await get(server, '/get?up=tunnel');
  assert.equal(status, 200, text);
  assert.equal(JSON.parse(text).authorization, `Bearer ${TOKEN}`);
  assert.equal(JSON.parse(text)['x-proxy'], undefined);
  const { method, url, headers } = open.seen.at(-1);
  assert.deepEqual([method, url, headers.authorization], ['CONNECT', `localhost:${secure.address().port}`, undefined]);
  await get(server, '/get?up=tunnel');
  assert.equal(open.seen.filter((one) => one.method === 'CONNECT').length, 1, 'the tunnel is kept');
});

test('a proxy that wants a password', async () => {
  assert.equal((await get(server, '/get?up=known')).status, 200);
  await fails('stranger', 'proxy', { message: /the proxy does not let it through: .*407/ });
});

test('a proxy that refuses, that finds nobody, that is not there', async () => {
  open.refuse = 403;
  await get(server, '/recycle?up=tunnel');
  await fails('tunnel', 'proxy', { message: /the proxy does not let it through: .*403/ });
  open.refuse = 0;
  await fails('beyond', 'refused', { message: /no connection: .*502/, attempts: 3, retryable: true });
  await fails('nowhere', 'refused', { message: /no connection: Failed to connect to 127.0.0.1 port/, attempts: 3, retryable: true });
  await fails('nameless', 'dns', { message: /Could not resolve proxy: nowhere.invalid/, attempts: 3, retryable: true });
});

test('SOCKS, with names that the proxy looks up', async () => {
  assert.equal((await get(server, '/get?up=socks')).status, 200);
  assert.deepEqual(socks.seen, ['name service.socks']);
  await fails('no_socks', 'proxy', { message: /the proxy does not let it through/ });
});

test('no password and no token is in the log', () => {
  assert.ok(!server.log().includes(PASSWORD));
  assert.ok(!server.log().includes(TOKEN));
});
