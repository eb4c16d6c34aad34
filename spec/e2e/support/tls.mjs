// Servers with certificates of their own, made by Debian's openssl.

import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';

import { startServer, within } from './server.mjs';

/** A folder with NAME.pem and NAME.key for each name; `extra` are further names of it. */
export function makeCertificates(...names) {
  const folder = mkdtempSync(path.join(tmpdir(), 'fitnessally-tls-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const made = { folder, certificate: (name) => path.join(folder, `${name}.pem`), key: (name) => path.join(folder, `${name}.key`) };
  made.add = (name, { dns = [`${name}.example`], days = 30 } = {}) => {
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', String(days),
      '-keyout', made.key(name), '-out', made.certificate(name), '-subj', `/CN=${name}`,
      '-addext', `subjectAltName=${dns.map((one) => `DNS:${one}`).join(',')}`], { stdio: 'ignore' });
  };
  /** `name` becomes what `other` is; only: 'certificate' or 'key', to make them disagree. */
  made.become = (name, other, only) => {
    if (only !== 'key') copyFileSync(made.certificate(other), made.certificate(name));
    if (only !== 'certificate') copyFileSync(made.key(other), made.key(name));
  };
  made.pem = (name) => readFileSync(made.certificate(name));
  names.forEach((name) => made.add(name));
  return made;
}

/** A server that also listens with TLS, as each of `identities` (names of `certificates`). Its url is the secure one. */
export async function startSecureServer(certificates, identities, ...extra) {
  const keys = identities.flatMap((name) => ['--set', `tls.${name}.certificate=${certificates.certificate(name)}`,
    '--set', `tls.${name}.key=${certificates.key(name)}`]);
  const server = await startServer('--listen', 'https://127.0.0.1:0', ...keys, ...extra);
  const line = /listening on (https:\/\/\S+)/;
  await within(5_000, until(() => line.test(server.log())), 'the line "listening on https"');
  const url = line.exec(server.log())[1];
  const securePort = Number(new URL(url).port);
  return { ...server, plainUrl: server.url, url, securePort, tls: { rejectUnauthorized: false, servername: `${identities[0]}.example` } };
}

/** Looks until it is so, or for as long as `within` might wait. */
export async function until(test) {
  for (const end = Date.now() + 30_000; !test() && Date.now() < end;) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** A TLS connection: the socket, once its handshake is over. */
export function connect(server, options = {}) {
  const connected = new Promise((resolve, reject) => {
    const socket = tls.connect({ host: '127.0.0.1', port: server.securePort, rejectUnauthorized: false, ...options }, () => resolve(socket));
    socket.on('session', (bytes) => (socket.ticket = bytes)); // with TLS 1.2 before the handshake is over
    socket.once('error', reject);
  });
  return within(10_000, connected, 'a handshake');
}

/** Sends a request on it and gives what comes, until `end` says that it is enough. */
export function exchange(socket, text, end = (got) => /\r\n\r\n[^]*\}\s*$/.test(got)) {
  const answered = new Promise((resolve, reject) => {
    let got = '';
    const take = (bytes) => {
      got += bytes.toString('latin1');
      if (end(got)) done();
    };
    const done = () => {
      socket.off('data', take).off('close', done).off('error', reject);
      resolve(got);
    };
    socket.on('data', take).once('close', done).once('error', reject);
  });
  socket.write(text);
  return within(10_000, answered, 'an answer');
}

export const HEALTH = 'GET /api/health HTTP/1.1\r\nHost: x\r\n\r\n';
