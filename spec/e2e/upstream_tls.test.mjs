// Upstreams over TLS, against Node's: whom we believe, whom not, and what is said then.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import https from 'node:https';
import { after, before, test } from 'node:test';
import tls from 'node:tls';

import { makeAuthority } from './support/authority.mjs';
import { get, startApp } from './support/upstreams.mjs';

const HERE = ['DNS:localhost', 'IP:127.0.0.1'];
const services = [];
let server, authority;

async function startSecure(options) {
  const seen = { requests: 0, handshakes: 0, protocols: [] };
  const service = https.createServer(options, (request, answer) => {
    seen.requests++;
    answer.end(`${request.socket.getProtocol()} ${request.socket.getPeerCertificate()?.subject?.CN ?? 'nobody'}`);
  });
  service.on('secureConnection', () => seen.handshakes++);
  service.on('tlsClientError', () => {});
  await new Promise((resolve) => service.listen(0, '127.0.0.1', resolve));
  services.push(service);
  return Object.assign(seen, { url: `https://localhost:${service.address().port}`, port: service.address().port });
}

const at = {};
before(async () => {
  authority = makeAuthority();
  const stranger = makeAuthority();
  const good = authority.sign('good', HERE), me = authority.sign('a client of ours', ['DNS:client.example']);
  const oldest = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' };
  const asking = { ca: authority.pem, requestCert: true, rejectUnauthorized: true };
  at.good = await startSecure(good.identity);
  at.name = await startSecure(authority.sign('name', ['DNS:other.example']).identity);
  at.expired = await startSecure(authority.sign('expired', HERE, -1).identity);
  at.stranger = await startSecure(stranger.sign('stranger', HERE).identity);
  at.asking = await startSecure({ ...good.identity, ...asking });
  at.asking12 = await startSecure({ ...good.identity, ...asking, maxVersion: 'TLSv1.2' });
  at.tls12 = await startSecure({ ...good.identity, maxVersion: 'TLSv1.2' });
  at.old = await startSecure({ ...good.identity, ...oldest });
  writeFileSync(authority.file('no.pem'), 'no certificate\n');
  const names = { ...at, known: at.asking, known12: at.asking12, unchecked: at.stranger, system: at.good, broken: at.good };
  const settings = Object.entries(names).flatMap(([name, { url }]) => [`upstreams.${name}.url=${url}`, `upstreams.${name}.ca_file=${authority.ca}`]);
  for (const name of ['known', 'known12']) settings.push(`upstreams.${name}.client_cert=${me.certificate}`, `upstreams.${name}.client_key=${me.key}`);
  settings.push('upstreams.unchecked.tls_verify=false', 'upstreams.system.ca_file=', `upstreams.broken.ca_file=${authority.file('no.pem')}`);
  server = await startApp(at.good, ...settings.flatMap((one) => ['--set', one]));
});
after(async () => {
  await server?.stop();
  services.forEach((service) => service.close());
});

async function refused(name, message) {
  const { requests } = { ...(at[name] ?? at.good) };
  const { status, text } = await get(server, `/post?up=${name}`);
  const told = JSON.parse(text);
  assert.equal(status, 502);
  assert.equal(told.kind, 'tls', text);
  assert.match(told.message, message);
  assert.ok(told.message.startsWith(`upstream ${name}: no secure connection: `), told.message);
  assert.deepEqual([told.retryable, told.attempts], [false, 1]);
  assert.equal((at[name] ?? at.good).requests, requests);
}

test('a good certificate of an authority that we know', async () => {
  assert.deepEqual(await get(server, '/get?up=good'), { status: 200, text: 'TLSv1.3 nobody' });
  assert.deepEqual(await get(server, '/get?up=good'), { status: 200, text: 'TLSv1.3 nobody' });
  assert.equal(at.good.handshakes, 1, 'the connection is kept');
  assert.deepEqual(await get(server, '/get?up=tls12'), { status: 200, text: 'TLSv1.2 nobody' });
});

test('an authority that we do not know', () => refused('stranger', /unable to get local issuer certificate/));
test('not even the one that is not named, with those of the system', () => refused('system', /unable to get local issuer certificate/));
test('another name', () => refused('name', /no alternative certificate subject name matches target host name 'localhost'/));
test('expired', () => refused('expired', /certificate has expired/));
test('certificates to trust that are none', () => refused('broken', /error setting certificate/));

test('nothing older than TLS 1.2', async () => {
  const { port } = at.old;
  const protocol = await new Promise((resolve, reject) => {
    const socket = tls.connect({ host: '127.0.0.1', port, minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0', rejectUnauthorized: false },
      () => (resolve(socket.getProtocol()), socket.destroy()));
    socket.on('error', reject);
  });
  assert.equal(protocol, 'TLSv1.1', 'who is less careful gets in');
  await refused('old', /protocol version|unsupported protocol/);
});

test('a service that wants to know who we are', async () => {
  await refused('asking', /certificate required/);
  await refused('asking12', /handshake failure|bad certificate/);
  assert.deepEqual(await get(server, '/get?up=known'), { status: 200, text: 'TLSv1.3 a client of ours' });
  assert.deepEqual(await get(server, '/get?up=known12'), { status: 200, text: 'TLSv1.2 a client of ours' });
});

test('unless it is told not to look', async () => {
  assert.deepEqual(await get(server, '/get?up=unchecked'), { status: 200, text: 'TLSv1.3 nobody' });
});
