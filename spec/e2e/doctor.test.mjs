// `fitnessally doctor`: plain words, JSON, and exit status 1 when something is wrong.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';

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
