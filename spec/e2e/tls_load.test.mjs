// TLS under steady load, each request accounted for: a drain, new certificates and a new process cost nobody anything.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { within } from './support/server.mjs';
import { RATE, missing, steady } from './support/steady.mjs';
import { command, makeApp, succession } from './support/succession.mjs';
import { connect, makeCertificates, startSecureServer, until } from './support/tls.mjs';

const SECURE = { secure: true, rate: RATE / 4 }; // half of them make a handshake each
const app = makeApp();

const subject = async (server) => {
  const socket = await connect(server);
  const { CN } = socket.getPeerCertificate().subject;
  socket.destroy();
  return CN;
};

describe('under load, with TLS', { skip: missing }, () => {
  test('no request fails while certificates change', async (t) => {
    const certificates = makeCertificates('alpha', 'first', 'second');
    const server = await startSecureServer(certificates, ['alpha'], '-c', app.configure(2));
  t.after(() => server.stop());
    const load = steady(server.securePort, 4, SECURE);
    let reloads = 0;
    for (const end = Date.now() + 3500; Date.now() < end; await pause(100)) {
      const name = ++reloads % 2 ? 'first' : 'second';
      const before = server.log().length;
      certificates.become('alpha', name);
      process.kill(server.pid, 'SIGHUP');
      await within(5_000, until(() => /certificates reloaded/.test(server.log().slice(before))), 'the reload');
      assert.equal(await subject(server), name);
    }
    const figures = await load;
    t.diagnostic(JSON.stringify({ reloads, ...figures }));
    assert.equal(figures.failed, 0, JSON.stringify(figures));
    assert.ok(figures.sent > SECURE.rate * 3 && reloads > 3);
  });

  test('no request fails while three processes follow one another', (t) =>
    succession(['-c', app.configure(2)], async (server, next) => {
      const load = steady(server.securePort, 4, SECURE);
      for (let i = 0; i < 3; ++i) {
        await pause(900);
        await next();
      }
      const figures = await load;
      t.diagnostic(JSON.stringify(figures));
      assert.equal(figures.failed, 0, JSON.stringify(figures));
      assert.ok(figures.sent > SECURE.rate * 3);
    }, (...args) => startSecureServer(makeCertificates('alpha'), ['alpha'], ...args)));

  test('a drain loses nothing that has connected', async (t) => {
    const server = await startSecureServer(makeCertificates('alpha'), ['alpha'], '-c', app.configure(2));
    t.after(() => server.stop());
    const load = steady(server.securePort, 1.5, SECURE);
    await pause(1000);
    await server.stop();
    const { closed, reset, status, late, answered, refused } = await load;
    t.diagnostic(JSON.stringify({ answered, refused }));
    assert.deepEqual({ closed, reset, status, late }, { closed: 0, reset: 0, status: 0, late: 0 });
    assert.ok(answered > SECURE.rate / 2 && refused > 0);
  });
});

test('`fitnessally reload` says which certificate is broken, and its status is 1; the scripts are loaded all the same', async (t) => {
  const certificates = makeCertificates('alpha', 'other');
  const server = await startSecureServer(certificates, ['alpha'], '-c', app.configure(2));
  t.after(() => server.stop());
  assert.deepEqual([(await command('reload', server.pid)).status, await subject(server)], [0, 'alpha']);
  certificates.become('alpha', 'other', 'key');
  const text = await command('reload', server.pid);
  assert.equal(text.status, 1);
  assert.match(text.err, /^The certificates stay as they were: tls\.alpha: \S+alpha\.key: is not the key of \S+alpha\.pem\ngeneration 3 serves/);
  const json = await command('reload', server.pid, '--json');
  assert.equal(json.status, 1);
  const { ok, generation, error, certificates: said } = JSON.parse(json.out);
  assert.deepEqual({ ok, generation, error, code: said.code }, { ok: false, generation: 4, error: undefined, code: 'broken_certificates' });
  assert.match(said.message, /is not the key of/);
  assert.equal(await subject(server), 'alpha');
  certificates.become('alpha', 'other');
  const mended = await command('reload', server.pid, '--json');
  assert.deepEqual([mended.status, JSON.parse(mended.out).ok, JSON.parse(mended.out).certificates], [0, true, undefined]);
  assert.equal(await subject(server), 'other');
});
