// `fitnessally doctor`: plain words, JSON, and exit status 1 when something is wrong.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';

import { makeAuthority } from './support/authority.mjs';
import { REPO, SLOW } from './support/server.mjs';

const BIN = path.resolve(process.env.FA_BIN || path.join(REPO, 'build/fitnessally'));
const doctor = (...args) => spawnSync(BIN, ['doctor', '-c', path.join(REPO, 'fitnessally.conf.lua'), ...args],
  { cwd: REPO, encoding: 'utf8', timeout: 60_000 * SLOW });

test('says how it stands', () => {
  const { status, stdout } = doctor('--set', 'app=examples/hello', '--set', 'plugins_enabled=');
  assert.equal(status, 0, stdout);
  for (const line of [/^ok +version +fitnessally \d/m, /^ok +LuaJIT +LuaJIT 2\.1/m, /^ok +compiler +o(n|ff) for scripts: /m,
    /^ok +script_slice +100ms$/m, /^ok +application +examples\/hello loads$/m]) assert.match(stdout, line);
});

test('says what is wrong', () => {
  const { status, stdout } = doctor('--json', '--set', 'app=spec/support/nowhere', '--set', 'plugins_enabled=');
  const report = JSON.parse(stdout);
  assert.equal(status, 1);
  assert.equal(report.status, 'wrong');
  const finding = report.findings.find(({ name }) => name === 'application');
  assert.equal(finding.state, 'wrong');
  assert.match(finding.text, /a server would not start: .*app\.lua/);
});

test('says until when certificates are good, and what a file is that holds something else', () => {
  const authority = makeAuthority();
  const [good, soon, old] = [authority.sign('good', ['DNS:a'], 90), authority.sign('soon', ['DNS:b'], 5), authority.sign('old', ['DNS:c'], -1)];
  const identity = (name, { certificate, key }) => ['--set', `tls.${name}.certificate=${certificate}`, '--set', `tls.${name}.key=${key}`];
  const hello = ['--set', 'app=examples/hello', '--set', 'plugins_enabled='];
  const fine = doctor(...hello, ...identity('good', good), ...identity('soon', soon));
  assert.equal(fine.status, 0, fine.stdout);
  assert.match(fine.stdout, /^ok +certificate +tls\.good: \S+good\.pem is good until \d{4}-\d\d-\d\d$/m);
  assert.match(fine.stdout, /^note +certificate +tls\.soon: \S+soon\.pem is good until /m);
  const over = doctor(...hello, ...identity('old', old));
  assert.equal(over.status, 1, over.stdout);
  assert.match(over.stdout, /^WRONG +certificate +tls\.old: \S+old\.pem has expired, on \d{4}-\d\d-\d\d: clients refuse it$/m);
  const swapped = doctor(...hello, ...identity('a', { certificate: good.key, key: good.key }));
  assert.match(swapped.stdout, /tls\.a: \S+good\.key: there is no certificate in it \(PEM\)/);
  const twice = doctor(...hello, ...identity('a', { certificate: good.certificate, key: good.certificate }));
  assert.match(twice.stdout, /tls\.a: \S+good\.pem: there is no private key in it \(PEM\)/);
});
