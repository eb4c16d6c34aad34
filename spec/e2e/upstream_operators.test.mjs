// What operators see of upstreams: recycling from everywhere, traces, check and doctor, and that no secret is to be seen anywhere.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { BIN, REPO, SLOW, startServer } from './support/server.mjs';
import { get, startApp, startService, until } from './support/upstreams.mjs';

const folder = mkdtempSync(path.join(tmpdir(), 'fitnessally-upstreams-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
let service, server;
const heard = [];

before(async () => {
  service = await startService((request, answer) => {
    heard.push(request.headers);
    if (request.url === '/echo') return answer.writeHead(401).end(JSON.stringify(request.headers));
    return answer.end('x'.repeat(5000));
  });
  server = await startApp(service, '--workers', '2', '--set', 'upstreams.it.max_idle=60');
});
after(async () => {
  await server?.stop();
  await service?.close();
});

function ask(url, method, headers = {}) {
  return new Promise((resolve, reject) => {
    http.request(url, { method, headers, agent: false }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part) => (text += part)).on('end', () => resolve({ status: answer.statusCode, text }));
    }).on('error', reject).end();
  });
}

function command(...args) {
  const { status, stdout, stderr } = spawnSync(BIN, args, { cwd: REPO, encoding: 'utf8', timeout: 60_000 * SLOW });
  return { status, text: stdout + stderr };
}

// ---- recycling ----

const CLOSED = /upstream (\S+): pool closed \((.*?)\): age (\d+) s, (\d+) requests, ([\d.]+ \w+) received, (\d+) connections closed, ([\d.]+) (\w+) released/g;
const closedPools = (app) => [...app.log().matchAll(CLOSED)].map(([, name, why, age, requests, received, connections, released]) => (
  { name, why, age: Number(age), requests: Number(requests), received, connections: Number(connections), released: Number(released) }));

test('a script recycles on all workers, and the log says what that gave back', async () => {
  await Promise.all(Array.from({ length: 40 }, () => get(server, '/get')));
  const open = service.sockets.size;
  assert.ok(open > 0);
  assert.deepEqual(JSON.parse((await get(server, '/recycle')).text), { ok: true, workers: 2, of: 2 });
  await until(5000, () => service.sockets.size === 0, 'every connection to close');
  const sum = (name) => closedPools(server).reduce((all, one) => all + one[name], 0);
  await until(5000, () => sum('requests') >= 40, 'the log');
  const closed = closedPools(server);
  assert.ok(closed.every(({ name, why }) => name === 'it' && why === 'asked for'));
  assert.equal(sum('requests'), 40);
  assert.equal(sum('connections'), open);
  assert.ok(sum('released') > 0);
  assert.deepEqual(JSON.parse((await get(server, '/recycle?up=none')).text), { ok: false, error: 'there is no upstream of that name' });
  assert.equal(JSON.parse((await get(server, `/recycle?up=${'x'.repeat(200)}`)).text).ok, false);
});

test('an operator recycles over HTTP, from the machine itself only', async () => {
  const coach = await startServer('--set', 'plugins_enabled=records', '--set', 'tts=', '--set', `upstreams.it.url=${service.url}`);
  const target = `${coach.url}/admin/upstreams/it/recycle`;
  const done = await ask(target, 'POST');
  assert.equal(done.status, 200, done.text);
  assert.equal(JSON.parse(done.text).ok, true);
  assert.equal((await ask(`${coach.url}/admin/upstreams/none/recycle`, 'POST')).status, 404);
  assert.equal((await ask(target, 'GET')).status, 405);
  for (const header of ['X-Forwarded-For', 'Origin']) assert.equal((await ask(target, 'POST', { [header]: 'http://elsewhere.example' })).status, 403);
  await coach.stop();
});

test('pools are recycled by themselves: by requests, bytes, age', async () => {
  const keys = { requests: 'recycle_requests=5', bytes: 'recycle_bytes=24KB', age: 'recycle_age=100ms' };
  const settings = Object.entries(keys).flatMap(([name, key]) => [`upstreams.${name}.url=${service.url}`, `upstreams.${name}.${key}`]);
  const app = await startApp(service, '--workers', '1', ...settings.flatMap((one) => ['--set', one]));
  for (let i = 0; i < 12; ++i) {
    for (const name of ['requests', 'bytes']) assert.equal((await get(app, `/get?up=${name}`)).status, 200);
  }
  await until(10_000, async () => (await get(app, '/get?up=age')).status === 200 && closedPools(app).some(({ name }) => name === 'age'), 'a pool to be old');
  const of = (name) => closedPools(app).filter((one) => one.name === name);
  assert.deepEqual(of('requests').map(({ why, requests, connections }) => [why, requests, connections]), Array(2).fill(['its requests', 5, 1]));
  assert.deepEqual(of('bytes').map(({ why, requests, connections }) => [why, requests, connections]), Array(2).fill(['its bytes', 5, 1]));
  assert.equal(of('age')[0].why, 'its age');
  assert.deepEqual(JSON.parse((await get(app, '/stats?up=requests')).text).recycled, 2);
  await app.stop();
});

// ---- traces ----

test('the trace of a request goes along', async () => {
  const [trace, span] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331'];
  const at = () => heard.at(-1).traceparent;
  await ask(`${server.url}/get`, 'GET', { traceparent: `00-${trace}-${span}-01` });
  const [version, same, child, flags] = at().split('-');
  assert.deepEqual([version, same, flags], ['00', trace, '01']);
  assert.match(child, /^[0-9a-f]{16}$/);
  assert.notEqual(child, span);
  await ask(`${server.url}/get`, 'GET');
  assert.match(at(), /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/);
  assert.notEqual(at().split('-')[1], trace);
});

// ---- check and doctor ----

test('check and doctor say what is wrong with an upstream, with file and line', () => {
  const cases = [
    ['url = "no address at all"', /url: is no base address/],
    ['url = "http://x", token_file = "/nowhere/secret"', /token_file \/nowhere\/secret: No such file/],
    ['url = "http://x", token_env = "FA_NO_SUCH_SECRET"', /token_env: there is no FA_NO_SUCH_SECRET in the environment/],
    ['url = "http://x", ca_file = "/nowhere/ca.pem"', /ca_file \/nowhere\/ca\.pem: No such file/],
    ['url = "http://x", retries = 99', /upstreams\.it\.retries: "99" is out of range/],
    ['url = "http://x", urls = "y"', /"urls" is no key of an upstream/],
  ];
  for (const [text, message] of cases) {
    const file = path.join(folder, 'wrong.conf.lua');
    writeFileSync(file, `app = "${REPO}/spec/support/upstreams"\nplugins_enabled = {}\ntts = ""\n\nupstreams.it = { ${text} }\n`);
    const checked = command('check', '-c', file);
    assert.equal(checked.status, 1, checked.text);
    assert.match(checked.text, message);
    assert.match(checked.text, /wrong\.conf\.lua:5: /);
    const examined = command('doctor', '-c', file);
    assert.equal(examined.status, 1, examined.text);
    assert.match(examined.text, message);
  }
});

test('doctor says what is worth knowing', () => {
  const set = ['upstreams.a.url=http://api.example', 'upstreams.a.token=open-sesame', 'upstreams.b.url=https://b.example', 'upstreams.b.tls_verify=false',
    'upstreams.c.url=http://127.0.0.1:1', 'upstreams.c.token=open-sesame'];
  const { status, text } = command('doctor', '--set', `app=${REPO}/spec/support/upstreams`, '--set', 'plugins_enabled=', '--set', 'tts=', ...set.flatMap((one) => ['--set', one]));
  assert.equal(status, 0, text);
  assert.match(text, /a: its secret goes over the network in the clear/);
  assert.match(text, /b: nobody looks at its certificate/);
  assert.match(text, /3 in the configuration/);
  assert.doesNotMatch(text, /\bc: /);
  assert.ok(!text.includes('open-sesame'));
});

// ---- secrets ----

test('a secret is nowhere to be seen', async () => {
  const MARK = 'marked-secret-0123456789';
  writeFileSync(path.join(folder, 'secret'), `${MARK}\n`);
  const settings = ['upstreams.it.token=' + MARK, `upstreams.file.url=${service.url}`, `upstreams.file.token_file=${path.join(folder, 'secret')}`,
    `upstreams.basic.url=${service.url}`, 'upstreams.basic.user=me', 'upstreams.basic.auth=basic', 'upstreams.basic.token=' + MARK,
    `upstreams.header.url=${service.url}`, 'upstreams.header.auth=header', 'upstreams.header.auth_header=X-Api-Key', 'upstreams.header.token=' + MARK,
    'upstreams.proxied.url=http://127.0.0.1:1', `upstreams.proxied.proxy=http://me:${MARK}@127.0.0.1:1`, 'upstreams.gone.url=http://127.0.0.1:1',
    'upstreams.gone.token=' + MARK, 'mode=dev', 'log_level=debug', 'access_log=json'].flatMap((one) => ['--set', one]);
  const app = await startApp(service, '--workers', '1', ...settings);
  const outputs = {};
  for (const name of ['it', 'file', 'basic', 'header', 'proxied', 'gone']) {
    outputs[`error of ${name}`] = (await get(app, `/get?up=${name}&path=/echo&expect=2xx`)).text;
  }
  assert.equal(heard.at(-1)['x-api-key'], MARK);
  assert.ok(outputs['error of it'].includes('********'), outputs['error of it']);
  outputs.raised = (await ask(`${app.url}/raise`, 'GET', { Accept: 'text/html' })).text;
  assert.match(outputs.raised, /upstreams?/i);
  for (const what of ['report', 'analysis', 'tracker', 'doctor']) outputs[what] = (await get(app, `/memory?what=${what}`)).text;
  outputs.memory = command('memory', '--pid', String(app.pid)).text;
  outputs.recycle = command('recycle', 'file', '--pid', String(app.pid)).text;
  const start = ['-c', path.join(REPO, 'fitnessally.conf.lua'), '--set', `app=${REPO}/spec/support/upstreams`, '--set', 'plugins_enabled=', '--set', 'tts=',
    '--set', `upstreams.it.url=${service.url}`, ...settings];
  for (const name of ['check', 'doctor', 'routes']) outputs[name] = command(name, ...(name === 'routes' ? [] : ['--json']), ...start).text;
  outputs['check of a wrong one'] = command('check', ...start, '--set', `upstreams.wrong.url=http://me:${MARK}@x`).text;
  outputs['check of another wrong one'] = command('check', ...start, '--set', 'upstreams.wrong.url=http://x', '--set', `upstreams.wrong.proxy=ftp://me:${MARK}@x`).text;
  outputs['check of a key that is none'] = command('check', ...start, '--set', `upstreams.it.tokn=${MARK}`).text;
  await app.stop();
  outputs.log = app.log();
  const basic = Buffer.from(`me:${MARK}`).toString('base64');
  for (const [name, text] of Object.entries(outputs)) {
    assert.ok(text.length > 0, `${name} says nothing`);
    assert.ok(!text.includes(MARK) && !text.includes(basic), `${name}: ${text}`);
  }
});
