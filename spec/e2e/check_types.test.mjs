// `fitnessally check` asks lua-language-server, where there is one. Debian has no package of it, so here a stand-in is on the PATH: it keeps what it
// is asked with, and writes reports in the form of the true one (its script/cli/check.lua: by file URI, places counted from 0, severities from 1).

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, test } from 'node:test';

import { BIN, REPO, SLOW } from './support/server.mjs';
import { makeApp } from './support/succession.mjs';

const app = makeApp("app:get('/hello', function(req) req:reply { text = 'hello' } end)\n");
const folder = path.join(app.folder, "it's here");
mkdirSync(path.join(folder, 'bin'), { recursive: true });
mkdirSync(path.join(folder, 'plugins/greeter'), { recursive: true });
writeFileSync(path.join(folder, 'plugins/greeter/plugin.lua'), 'return { name = "greeter", version = "1.0.0" }\n');
writeFileSync(path.join(folder, 'plugins/greeter/init.lua'), 'return {}\n');
const temporary = path.join(folder, 'tmp');
mkdirSync(temporary);
const asked = path.join(folder, 'asked');

/** The program: `body` is shell; $out is where the report goes, $check the folder. */
function standIn(body) {
  const program = path.join(folder, 'bin/lua-language-server');
  writeFileSync(program, `#!/bin/sh
for word; do
  printf '%s\\n' "$word" >>"${asked}"
  case $word in
    --check_out_path=*) out=\${word#*=} ;;
    --check=*) check=\${word#*=} ;;
    --configpath=*) cat "\${word#*=}" >"${asked}.json" ;;
  esac
done
${body}
`);
  chmodSync(program, 0o755);
}

function check(...args) {
  const env = { ...process.env, PATH: `${path.join(folder, 'bin')}:/usr/bin:/bin`, TMPDIR: temporary };
  return new Promise((resolve) => {
    execFile(BIN, ['check', '-c', app.configure(1), ...args], { env, timeout: 120_000 * SLOW }, (error, out, err) => {
      resolve({ status: error?.code ?? 0, out, err });
    });
  });
}

const diagnostic = (line, character, code, message, severity = 2) => ({
  code, message, severity, source: 'Lua Diagnostics.', range: { start: { line, character }, end: { line, character: character + 3 } },
});

describe('types', () => {
  beforeEach(() => {
    rmSync(path.join(folder, 'bin/lua-language-server'), { force: true });
    rmSync(asked, { force: true });
  });
  test('are not checked where there is no lua-language-server, and that is said', async () => {
    assert.deepEqual(await check(), { status: 0, out: 'configuration ok\ntypes not checked: lua-language-server is not on the PATH\n', err: '' });
    const { status, types } = JSON.parse((await check('--json')).out);
    assert.deepEqual([status, types], ['ok', { checked: false }]);
  });

  test('are checked in the application and its own plugins, with the annotations as library', async () => {
    standIn('printf "[]" >"$out"');
    const plugins = ['--set', `plugin_path=${path.join(folder, 'plugins')}`, '--set', 'plugins_enabled=greeter'];
    assert.deepEqual(await check(...plugins), { status: 0, out: 'configuration ok\ntypes ok\n', err: '' });
    const words = readFileSync(asked, 'utf8').split('\n');
    assert.deepEqual(words.filter((word) => word.startsWith('--check=')),
      [`--check=${path.join(app.folder, 'app')}`, `--check=${path.join(folder, 'plugins/greeter')}`]);
    assert.ok(words.includes('--checklevel=Warning') && words.includes('--check_format=json'));
    const told = JSON.parse(readFileSync(`${asked}.json`, 'utf8'));
    assert.deepEqual([told['runtime.version'], told['workspace.library']], ['LuaJIT', [path.join(REPO, 'lua')]]);
    assert.deepEqual(readdirSync(temporary), [], 'no folder is left behind');
  });

  test('that are wrong are told with file and line, and the status is 1', async () => {
    const report = {
      [`file://${path.join(app.folder, 'app/routes/a%20b.lua')}`]: [diagnostic(9, 4, 'param-type-mismatch', 'Cannot assign `string` to parameter `integer`.\n- `string` cannot match `integer`')],
      [`file://${path.join(app.folder, 'app/app.lua')}`]: [diagnostic(2, 0, 'undefined-global', 'Undefined global `oops`.'), diagnostic(0, 6, 'syntax', 'Missed symbol `)`.', 1)],
    };
    standIn(`cat >"$out" <<'END'\n${JSON.stringify(report)}\nEND\nexit 1`);
    const { status, out, err } = await check();
    assert.deepEqual([status, out], [1, 'configuration ok\n']);
    assert.deepEqual(err.split('\n'), [
      'app.lua:1:7: error: Missed symbol `)`. (syntax)',
      'app.lua:3:1: warning: Undefined global `oops`. (undefined-global)',
      'routes/a b.lua:10:5: warning: Cannot assign `string` to parameter `integer`. - `string` cannot match `integer` (param-type-mismatch)',
      'types: 3 findings', '']);
    const json = await check('--json');
    const { status: state, types } = JSON.parse(json.out);
    assert.deepEqual([json.status, state, types.checked, types.diagnostics.length], [1, 'wrong', true, 3]);
    assert.deepEqual(types.diagnostics[1], { file: 'app.lua', line: 3, column: 1, severity: 'warning', code: 'undefined-global', message: 'Undefined global `oops`.' });
    assert.deepEqual(await check('--no-types'), { status: 0, out: 'configuration ok\n', err: '' });
  });

  test('the report of an older version, which writes none when all is well, is understood', async () => {
    standIn('echo "Diagnosis completed, no problems found"');
    assert.deepEqual(await check(), { status: 0, out: 'configuration ok\ntypes ok\n', err: '' });
  });

  test("a folder with a .luarc.json of its own is checked with that, as the editor does", async () => {
    const file = path.join(app.folder, 'app/.luarc.json');
    writeFileSync(file, '{}');
    standIn('printf "[]" >"$out"');
    assert.equal((await check()).status, 0);
    assert.doesNotMatch(readFileSync(asked, 'utf8'), /--configpath/);
    rmSync(file);
  });

  test('a program that fails is not taken for one that has found nothing', async () => {
    standIn('echo "cannot open shared object" >&2; exit 127');
    const failed = await check();
    assert.deepEqual([failed.status, failed.err], [1, 'types not checked: lua-language-server ended with status 127: cannot open shared object\n']);
    standIn('echo "what?" >"$out"; exit 1');
    assert.match((await check()).err, /types not checked: lua-language-server has written no report that can be read/);
  });

  test('are not looked at when the scripts do not load', async () => {
    standIn('printf "[]" >"$out"');
    app.write('oops oops\n');
    const { status, err } = await check();
    assert.equal(status, 1);
    assert.match(err, /app\.lua:1: /);
    assert.throws(() => readFileSync(asked), /ENOENT/);
    app.write("app:get('/hello', function(req) req:reply { text = 'hello' } end)\n");
  });
});
