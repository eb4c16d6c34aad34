// A certificate authority of a test's own, made by Debian's openssl, and what it has signed.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export function makeAuthority() {
  const folder = mkdtempSync(path.join(tmpdir(), 'fitnessally-ca-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const file = (name) => path.join(folder, name);
  const openssl = (...args) => execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...newKey, '-days', '30', '-keyout', file('ca.key'), '-out', file('ca.pem'), '-subj', '/CN=an authority');

  /** Paths and contents of a key and a certificate for `names` ("DNS:x", "IP:y"); days below 0: it has expired. */
  function sign(name, names, days = 30) {
    const [key, certificate, request, more] = ['key', 'pem', 'csr', 'ext'].map((end) => file(`${name}.${end}`));
    writeFileSync(more, `subjectAltName=${names.join(',')}\n`);
    openssl('req', '-new', ...newKey, '-keyout', key, '-out', request, '-subj', `/CN=${name}`);
    openssl('x509', '-req', '-in', request, '-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-CAcreateserial', '-days', String(days),
      '-extfile', more, '-out', certificate);
    return { key, certificate, identity: { key: readFileSync(key), cert: readFileSync(certificate) } };
  }
  return { ca: file('ca.pem'), pem: readFileSync(file('ca.pem')), file, sign };
}
