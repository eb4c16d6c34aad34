// Clients that leave in every way a connection can break, from every state that it can be in. Nothing may be left of them: no open
// connection, no descriptor, nothing in the ledger; and the server still stops when it is told to. No deadline of the configuration comes
// to help: all are longer than the test.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { REPO, SLOW, askControl, ledgerAtZero, within } from './support/server.mjs';
import { makeApp } from './support/succession.mjs';
import { makeCertificates, startSecureServer } from './support/tls.mjs';
import { APP, HANDSHAKES, VISITS, VISITS_2, visitor, visitor2 } from './support/visits.mjs';

process.env.LSAN_OPTIONS = `${process.env.LSAN_OPTIONS ?? ''}:suppressions=${path.join(REPO, 'spec/support/http2_lsan.supp')}:print_suppressions=0`;

process.setMaxListeners(50); // each server and each folder looks after its own end

const PATIENT = ['head_timeout', 'request_timeout', 'idle_timeout', 'send_stall', 'listener_stall', 'drain']
  .flatMap((key) => ['--set', `${key}=10min`]).concat('--set', 'websocket_close=1min', '--set', 'websocket_ping=0s');

/** How they leave: what becomes of the connection below. */
const WAYS = {
  'resets it': async ({ raw }) => raw.resetAndDestroy(),
  'reads no more and resets it': async ({ raw, socket }) => {
    socket?.pause();
    raw.pause();
    await pause(30);
    raw.resetAndDestroy();
  },
  'closes its side, and nothing else': async ({ raw }) => { raw.end(); },
  'closes it with input unread': async ({ raw }) => {
    raw.pause();
    await pause(10);
    raw.destroy();
  },
  'says good-bye': async ({ raw, socket, session }) => {
    if (session) session.destroy();
    else socket.end();
    await pause(10);
    raw.destroy();
  },
};

const certificates = makeCertificates('alpha');

async function start(...extra) {
  const app = makeApp(APP), media = path.join(app.folder, 'media');
  mkdirSync(media);
  writeFileSync(path.join(media, 'large.bin'), Buffer.alloc(4 * 1024 * 1024, 'x'));
  return startSecureServer(certificates, ['alpha'], '-c', app.configure(2), ...PATIENT, '--set', `media_root=${media}`, '--set', 'duplicate_window=0s',
    '--set', 'reconnect_grace=100ms', '--set', 'first_listener_grace=1s', '--set', 'linger=100ms', ...extra);
}

const descriptors = (server) => readdirSync(`/proc/${server.pid}/fd`).length;
async function noMoreThan(before, server) { // the control socket's own may be closing
  for (const end = Date.now() + 5_000 * SLOW; descriptors(server) > before && Date.now() < end;) await pause(20);
  assert.ok(descriptors(server) <= before, `${descriptors(server)} descriptors, ${before} before`);
}

const connections = async (server) => JSON.parse(await askControl(server.pid, 'memory report')).ledger.byKind.connection.count;

/** Until all are gone; half-open ones stay open on our side meanwhile. */
async function nothingIsLeft(server, open) {
  let left;
  for (const end = Date.now() + 10_000 * SLOW; (left = await connections(server)) !== 0 && Date.now() < end;) await pause(20);
  assert.equal(left, 0, `${left} connections are left: ${open.filter(({ raw }) => !raw.destroyed).map(({ what }) => what).join('; ')}`);
  await ledgerAtZero(server);
  open.forEach(({ raw }) => raw.destroy());
}

/** Every visit, in every way. connect: {raw, socket or session}, perhaps later. */
async function all(visits, connect) {
  const open = [];
  await Promise.all(visits.flatMap(([visit, go]) => Object.entries(WAYS).map(async ([way, leave]) => {
    const client = await connect();
    open.push({ raw: client.raw, what: `${visit} ${way}` });
    await within(20_000, go(client.session ?? client.socket), `a client ${visit}`);
    await leave(client);
  })));
  return open;
}

const PROTOCOLS = {
  'in the clear': { visit: (server) => all(VISITS, () => visitor(server)), extra: [] },
  'before TLS': { visit: (server) => all(HANDSHAKES, () => visitor(server, 'below')), extra: [] },
  'under TLS 1.2': { visit: (server) => all(VISITS, () => visitor(server, 'TLSv1.2')), extra: [] },
  'under TLS 1.3': { visit: (server) => all(VISITS, () => visitor(server, 'TLSv1.3')), extra: [] },
  'by HTTP/2': { visit: (server) => all(VISITS_2, () => visitor2(server)), extra: ['--set', 'http2=trusted'] },
};

for (const [protocol, { visit, extra }] of Object.entries(PROTOCOLS)) {
  test(`clients that leave ${protocol} leave nothing`, async (t) => {
    const server = await start(...extra);
    t.after(() => server.stop());
    await nothingIsLeft(server, await visit(server)); // what is opened once and kept is open now
    const before = descriptors(server);
    await nothingIsLeft(server, await visit(server));
    await noMoreThan(before, server);
    const open = await visit(server);
    const told = Date.now();
    await server.stop();
    assert.ok(Date.now() - told < 20_000 * SLOW); // not after the ten minutes of `drain`
    open.forEach(({ raw }) => raw.destroy());
  });
}

test('a crowd that is killed leaves nothing', async (t) => {
  const server = await start();
  t.after(() => server.stop());
  const program = path.join(path.dirname(fileURLToPath(import.meta.url)), 'support/crowd.mjs');
  const kill = async () => {
    const crowd = spawn(process.execPath, [program, JSON.stringify({ port: server.port, securePort: server.securePort })], { stdio: ['ignore', 'pipe', 'inherit'] });
    await within(30_000, new Promise((resolve) => crowd.stdout.once('data', resolve)), 'the crowd');
    crowd.kill('SIGKILL');
    await new Promise((resolve) => crowd.once('exit', resolve));
    await nothingIsLeft(server, []);
  };
  await kill();
  const before = descriptors(server);
  await kill();
  await noMoreThan(before, server);
});
