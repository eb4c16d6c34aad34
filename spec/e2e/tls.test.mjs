// TLS as a client sees it: which certificate it gets, what is spoken, who may resume what, and certificates that change while it talks.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import { after, afterEach, before, describe, test } from 'node:test';
import tls from 'node:tls';
import { promisify } from 'node:util';

import { BIN, SLOW, ledgerAtZero, startServer, within } from './support/server.mjs';
import { HEALTH, connect, exchange, makeCertificates, startSecureServer, until } from './support/tls.mjs';

const OPEN_CIPHERS = 'ALL:@SECLEVEL=0'; // so that it is the server that refuses

describe('handshakes', () => {
  let server;
  before(async () => {
    const certificates = makeCertificates('alpha', 'beta');
    certificates.add('wild', { dns: ['*.wild.example', 'wild.example'] });
    server = await startSecureServer(certificates, ['alpha', 'beta', 'wild'],
      '--set', 'tls.beta.names=beta.example,other.example', '--set', 'head_timeout=1s');
  });
  after(() => server?.stop());
  afterEach(() => ledgerAtZero(server));

  const subject = async (servername) => {
    const socket = await connect(server, { servername });
    const { CN } = socket.getPeerCertificate().subject;
    socket.destroy();
    return CN;
  };

  test('the name asked for chooses the certificate; the first is for everybody else', async () => {
    assert.equal(await subject('alpha.example'), 'alpha');
    assert.equal(await subject('beta.example'), 'beta');
    assert.equal(await subject('BETA.Example'), 'beta');
    assert.equal(await subject('other.example'), 'beta'); // by tls.beta.names
    assert.equal(await subject('x.wild.example'), 'wild');
    assert.equal(await subject('wild.example'), 'wild');
    assert.equal(await subject('a.b.wild.example'), 'alpha');
    assert.equal(await subject('nobody.example'), 'alpha');
    assert.equal(await subject(undefined), 'alpha');
  });

  test('TLS 1.2 and 1.3 are spoken, older ones refused by an alert', async () => {
    for (const version of ['TLSv1.2', 'TLSv1.3']) {
      const socket = await connect(server, { minVersion: version, maxVersion: version });
      assert.equal(socket.getProtocol(), version);
      assert.match(await exchange(socket, HEALTH), /^HTTP\/1\.1 200 /);
      socket.destroy();
    }
    for (const version of ['TLSv1.1', 'TLSv1']) {
      await assert.rejects(connect(server, { minVersion: version, maxVersion: version, ciphers: OPEN_CIPHERS }),
        /alert protocol version/i);
    }
  });

  test('ciphers without forward secrecy, or with CBC, are refused', async () => {
    for (const ciphers of ['AES128-GCM-SHA256', 'ECDHE-ECDSA-AES128-SHA', 'ECDHE-ECDSA-AES256-SHA384']) {
      await assert.rejects(connect(server, { maxVersion: 'TLSv1.2', ciphers: `${ciphers}:@SECLEVEL=0` }), /alert handshake failure/i);
    }
  });

  test('HTTP/2 is not offered, and start-up says why', async () => {
    const socket = await connect(server, { ALPNProtocols: ['h2', 'http/1.1'] });
    assert.equal(socket.alpnProtocol, 'http/1.1');
    socket.destroy();
    await assert.rejects(connect(server, { ALPNProtocols: ['h2'] }), /no application protocol/i);
    await server.logged(/HTTP\/2 is off: libh2o .*CVE-2023-44487.*http2 = "trusted"/);
  });

  test('there is no renegotiation', async () => {
    const socket = await connect(server, { maxVersion: 'TLSv1.2' });
    const refused = new Promise((resolve) => {
      socket.once('error', resolve).once('close', resolve);
      socket.renegotiate({ rejectUnauthorized: false }, resolve);
    });
    assert.ok(await within(10_000, refused, 'a refusal'));
    socket.destroy();
  });

  test('a handshake has a deadline, however it is dragged out', async () => {
    const start = Date.now();
    const silent = net.connect(server.securePort, '127.0.0.1');
    const dripping = net.connect(server.securePort, '127.0.0.1');
    const plain = net.connect(server.securePort, '127.0.0.1');
    const drip = setInterval(() => dripping.write(Buffer.from([0x16])), 100);
    dripping.write(Buffer.from([0x16, 3, 1, 2, 0, 1]));
    plain.write(HEALTH); // no TLS at all
    const closed = [silent, dripping, plain].map((socket) => new Promise((resolve) => {
      socket.on('error', () => {}).on('close', () => resolve(Date.now() - start)).resume();
    }));
    const [a, b, c] = await within(8_000, Promise.all(closed), 'the closes').finally(() => clearInterval(drip));
    assert.ok(a >= 900, `${a} ms`);
    assert.ok(b < 3000 * SLOW && c < 3000 * SLOW, `${b} ${c} ms`);
  });

  test('what the gate refuses in the clear it refuses here', async () => {
    const cases = [
      ['GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
      ['GET / HTTP/1.1\nHost: a\n\n', 400],
      ['POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n', 400],
      [`GET /${'a'.repeat(20000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 414],
      [`GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(20000)}\r\n\r\n`, 431],
    ];
    for (const [text, status] of cases) {
      const socket = await connect(server);
      const answer = await exchange(socket, text);
      assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} [^]*Connection: close[^]*"error":`));
      await within(5_000, socket.closed ? null : new Promise((resolve) => socket.on('close', resolve).resume()), 'the close');
    }
    const slow = await connect(server);
    slow.write('GET / HTTP/1.1\r\nHo');
    assert.match(await exchange(slow, 's'), /^HTTP\/1\.1 408 /);
  });

  test('requests come one behind the other, in pieces of any size', async () => {
    const socket = await connect(server);
    const answers = (got) => (got.match(/HTTP\/1\.1 200 /g) ?? []).length;
    await exchange(socket, HEALTH.repeat(10), (got) => answers(got) === 10 && got.endsWith('}'));
    const all = new Promise((resolve) => {
      let got = '';
      socket.on('data', (bytes) => answers(got += bytes) === 2 && resolve());
    });
    for (const byte of HEALTH.repeat(2)) socket.write(byte); // a record for each
    await within(10_000, all, 'two answers');
    socket.destroy();
  });
});

describe('sessions', () => {
  let server, certificates;
  before(async () => {
    certificates = makeCertificates('alpha', 'beta', 'gamma');
    server = await startSecureServer(certificates, ['alpha', 'beta'], '--workers', '3');
  });
  after(() => server?.stop());
  afterEach(() => ledgerAtZero(server));

  async function session(servername, version) {
    const socket = await connect(server, { servername, maxVersion: version });
    await exchange(socket, HEALTH);
    await within(5_000, until(() => socket.ticket !== undefined), 'a ticket');
    socket.destroy();
    return socket.ticket;
  }

  async function resumes(servername, version, ticket) {
    const socket = await connect(server, { servername, maxVersion: version, session: ticket });
    assert.match(await exchange(socket, HEALTH), /^HTTP\/1\.1 200 /);
    const answer = { reused: socket.isSessionReused(), subject: socket.getPeerCertificate().subject?.CN };
    socket.destroy();
    return answer;
  }

  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    test(`${version}: a session resumes with any worker, for its own identity only`, async () => {
      const alpha = await session('alpha.example', version);
      const beta = await session('beta.example', version);
      for (let i = 0; i < 6; ++i) {
        assert.equal((await resumes('alpha.example', version, alpha)).reused, true);
        assert.equal((await resumes('beta.example', version, beta)).reused, true);
        assert.deepEqual(await resumes('beta.example', version, alpha), { reused: false, subject: 'beta' });
        assert.deepEqual(await resumes('alpha.example', version, beta), { reused: false, subject: 'alpha' });
      }
    });
  }

  test('a reload leaves sessions of the same certificate alone and ends those of another', async () => {
    const alpha = await session('alpha.example', 'TLSv1.3');
    const beta = await session('beta.example', 'TLSv1.3');
    certificates.become('beta', 'gamma');
    const before = server.log().length;
    process.kill(server.pid, 'SIGHUP');
    await within(5_000, until(() => /certificates reloaded/.test(server.log().slice(before))), 'the reload');
    assert.equal((await resumes('alpha.example', 'TLSv1.3', alpha)).reused, true);
    assert.deepEqual(await resumes('beta.example', 'TLSv1.3', beta), { reused: false, subject: 'alpha' }); // gamma is for gamma.example
    assert.equal((await resumes('gamma.example', 'TLSv1.3', alpha)).subject, 'gamma');
  });
});

describe('reload', () => {
  let server, certificates;
  before(async () => {
    certificates = makeCertificates('alpha', 'first', 'second', 'other');
    certificates.become('alpha', 'first');
    server = await startSecureServer(certificates, ['alpha'], '--workers', '2');
  });
  after(() => server?.stop());
  afterEach(() => ledgerAtZero(server));

  const shown = async () => {
    const socket = await connect(server);
    const { CN } = socket.getPeerCertificate().subject;
    socket.destroy();
    return CN;
  };

  async function reload(wanted) {
    const before = server.log().length;
    process.kill(server.pid, 'SIGHUP');
    await within(5_000, until(() => wanted.test(server.log().slice(before))), `${wanted} in the log`);
  }

  test('new connections get the new certificate, open ones go on', async () => {
    const open = await connect(server);
    await exchange(open, HEALTH);
    certificates.become('alpha', 'second');
    await reload(/certificates reloaded/);
    assert.equal(await shown(), 'second');
    assert.match(await exchange(open, HEALTH), /^HTTP\/1\.1 200 /);
    assert.equal(open.getPeerCertificate().subject.CN, 'first');
    open.destroy();
  });

  test('what is broken changes nothing, and the log says which file and why', async () => {
    certificates.become('alpha', 'other', 'key');
    await reload(/certificates stay as they were: tls\.alpha: \S+alpha\.key: is not the key of \S+alpha\.pem/);
    assert.equal(await shown(), 'second');
    certificates.become('alpha', 'other');
    writeFileSync(certificates.certificate('alpha'), 'no certificate');
    await reload(/certificates stay as they were: tls\.alpha: \S+alpha\.pem: there is no certificate in it \(PEM\)/);
    assert.equal(await shown(), 'second');
    certificates.become('alpha', 'other');
    writeFileSync(certificates.key('alpha'), '');
    await reload(/certificates stay as they were: tls\.alpha: \S+alpha\.key: /);
    assert.equal(await shown(), 'second');
    certificates.become('alpha', 'other');
    await reload(/certificates reloaded/);
    assert.equal(await shown(), 'other');
  });

  test('no request fails while certificates change, on kept connections and on new ones', async () => {
    const SECONDS = 5;
    let running = true, done = 0, failed = 0, reloads = 0;
    const failures = [];
    const subjects = new Set();
    const one = (agent) => new Promise((resolve) => {
      const request = https.get(`${server.url}/api/health`, { agent, ...server.tls }, (response) => {
        subjects.add(response.socket.getPeerCertificate().subject?.CN);
        response.resume().on('end', () => resolve(response.statusCode === 200)).on('error', () => resolve(false));
      });
      request.on('error', (error) => {
        failures.push(error.message);
        resolve(false);
      });
    });
    const client = async (agent) => {
      while (running) await one(agent).then((good) => (good ? ++done : ++failed));
    };
    const kept = new https.Agent({ keepAlive: true, maxSockets: 8 });
    const clients = [...Array.from({ length: 8 }, () => client(kept)), ...Array.from({ length: 4 }, () => client(false))];
    for (const end = Date.now() + SECONDS * 1000; Date.now() < end; ++reloads) {
      certificates.become('alpha', reloads % 2 ? 'first' : 'second');
      await reload(/certificates reloaded/);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    running = false;
    await within(10_000, Promise.all(clients), 'the last answers');
    kept.destroy();
    assert.deepEqual(failures, []);
    assert.equal(failed, 0);
    assert.ok(reloads >= 5 && done > 100, `${reloads} reloads, ${done} requests`);
    assert.ok(subjects.has('first') && subjects.has('second'));
    console.log(`# ${done} requests in ${SECONDS} s, ${reloads} reloads, none failed`);
  });
});

describe('start', () => {
  test('a server that could not speak TLS does not start, and says why', async () => {
    const certificates = makeCertificates('alpha', 'beta');
    certificates.become('alpha', 'beta', 'key');
    const keys = ['--set', `tls.a.certificate=${certificates.certificate('alpha')}`, '--set', `tls.a.key=${certificates.key('alpha')}`];
    await assert.rejects(startServer('--listen', 'https://127.0.0.1:0'), /https:\/\/ needs an identity: tls\.main = /);
    await assert.rejects(startServer('--listen', 'https://127.0.0.1:0', ...keys), /tls\.a: \S+alpha\.key: is not the key of \S+alpha\.pem/);
    await assert.rejects(startServer('--set', 'tls.a.certificate=/nowhere.pem', '--set', 'tls.a.key=/nowhere.key'),
      /tls\.a: \/nowhere\.pem: No such file or directory/);
    await assert.rejects(startServer('--set', 'tls.a.cert=x'), /tls\.a\.cert: there is no such key; there are certificate, key and names/);
    await assert.rejects(startServer('--set', `tls.a.certificate=${certificates.certificate('beta')}`), /tls\.a: needs certificate and key/);
  });
});

// libuv takes no more writes after a reset, and h2o would wait for its last word to be written for ever.
test('clients that reset their connections leave nothing, and nothing holds up the stop', async (t) => {
  const server = await startSecureServer(makeCertificates('alpha'), ['alpha']);
  t.after(() => server.stop());
  const visit = async (maxVersion) => {
    const raw = net.connect(server.securePort, '127.0.0.1');
    const socket = tls.connect({ socket: raw, rejectUnauthorized: false, maxVersion });
    raw.on('error', () => {});
    socket.on('error', () => {});
    socket.write(HEALTH);
    await new Promise((resolve) => socket.once('data', resolve));
    raw.resetAndDestroy();
  };
  for (let round = 0; round < 10; ++round) {
    await Promise.all(Array.from({ length: 20 }, (_, i) => visit(i % 2 ? 'TLSv1.3' : 'TLSv1.2')));
  }
  const connections = async () => {
    const { stdout } = await promisify(execFile)(BIN, ['memory', '--pid', String(server.pid), '--json']);
    return JSON.parse(stdout).ledger.byKind.connection.count;
  };
  let left;
  for (const end = Date.now() + 5_000 * SLOW; (left = await connections()) !== 0 && Date.now() < end;) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(left, 0, 'connections');
});
