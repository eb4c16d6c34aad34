// `fitnessally repl`: Lua that is typed runs in a worker of the running server, and hurts nobody; when its client leaves nothing is left of it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';

import { call } from './support/client.mjs';
import { BIN, askControl, ledgerAtZero, startServer, within } from './support/server.mjs';
import { command, makeApp } from './support/succession.mjs';

const APP = `
local shop = require "shop"
app:get("/count", function(req) req:reply { json = { count = shop.count } } end)
`;
const SHOP = `
local shop = { count = 3, names = { "a", "b" } }
function shop.add(n)
  shop.count = shop.count + n
end
return shop
`;

/** A client with `input` on its standard input, which then ends: {status, out, err}. */
async function type(server, input, ...more) {
  const child = spawn(BIN, ['repl', '--pid', String(server.pid), ...more], { stdio: ['pipe', 'pipe', 'pipe'] });
  const said = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => (said.out += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (said.err += text));
  child.stdin.on('error', () => {}).end(input);
  const ended = new Promise((resolve) => child.once('close', (status) => resolve({ status, ...said })));
  return within(30_000, ended, `the repl to end after ${input.slice(0, 60)}`);
}

const children = new Set();
process.once('exit', () => children.forEach((child) => child.kill('SIGKILL')));

/** A client that stays: says(pattern) waits for what it prints. */
function attach(server, program = [BIN, 'repl', '--pid', String(server.pid)]) {
  const child = spawn(program[0], program.slice(1), { stdio: ['pipe', 'pipe', 'pipe'] });
  const client = { child, text: '', write: (text) => child.stdin.write(text) };
  const look = new Set();
  const add = (text) => {
    client.text += text;
    look.forEach((check) => check());
  };
  child.stdin.on('error', () => {});
  child.stdout.setEncoding('utf8').on('data', add);
  child.stderr.setEncoding('utf8').on('data', add);
  client.ended = new Promise((resolve) => child.once('close', (status) => resolve(status)));
  client.says = (pattern) => {
    const found = new Promise((resolve) => {
      const check = () => pattern.test(client.text) && (look.delete(check), resolve());
      look.add(check);
      check();
    });
    return within(20_000, found, `${pattern} of the repl`).catch((error) => {
      throw new Error(`${error.message}; it has said: ${client.text}`);
    });
  };
  children.add(child);
  child.once('close', () => children.delete(child));
  return client;
}

/** Waits until so many lines run as `wanted` says. */
function lines(server, wanted) {
  const count = async () => JSON.parse((await command('reload', server.pid, '--status', '--json')).out).generations[0].tasks;
  return within(30_000, (async () => { while (!wanted(await count())); })(), `as many lines as ${wanted}`);
}

const frame = (type, text) => {
  const header = Buffer.alloc(5);
  header.write(type);
  header.writeUInt32BE(Buffer.byteLength(text), 1);
  return Buffer.concat([header, Buffer.from(text)]);
};

/** The frames that have come, as [type, text]. */
function framesOf(bytes) {
  const frames = [];
  for (let at = 0; at + 5 <= bytes.length;) {
    const length = bytes.readUInt32BE(at + 1);
    frames.push([String.fromCharCode(bytes[at]), bytes.subarray(at + 5, at + 5 + length).toString()]);
    at += 5 + length;
  }
  return frames;
}

describe('a repl', () => {
  const app = makeApp(APP);
  writeFileSync(path.join(app.folder, 'app/shop.lua'), SHOP);
  const sockets = mkdtempSync(path.join(tmpdir(), 'fitnessally-repl-'));
  process.once('exit', () => rmSync(sockets, { recursive: true, force: true }));
  let server;
  before(async () => (server = await startServer('-c', app.configure(1))));
  after(() => server?.stop());

  const left = async () => JSON.parse(await askControl(server.pid, 'memory report')).ledger.byKind.script;

  /** Nobody is attached, and nothing is left of those who were. */
  async function nothingIsLeft() {
    await ledgerAtZero(server);
    const gone = (async () => {
      while ((await left()).count !== 0) await new Promise((resolve) => setTimeout(resolve, 20));
    })();
    await within(20_000, gone, 'the scopes of the repl to end');
    assert.equal((await left()).bytes, 0);
  }
  afterEach(async () => {
    children.forEach((child) => child.kill('SIGKILL')); // of a test that has failed
    await nothingIsLeft();
  });

  test('shows the values of expressions and what print says; chunks may have several lines; globals stay, locals do not', async () => {
    const lines = ['1 + 1, "x"', '= fitnessally.worker', 'x = { 1, 2, a = "b\\n" }', 'x', 'function f(n)', '  return n * 2', 'end', 'f(21)',
      'print("hi", nil, true)', 'local y = 1', 'y', 'nil', '', '-- a comment', 'for i = 1, 2 do print(i) end', '(', '3', ')'];
    const { status, out, err } = await type(server, `${lines.join('\n')}\n`);
    assert.deepEqual([status, err], [0, '']);
    assert.deepEqual(out.split('\n'), ['2\t"x"', '0', '{ 1, 2, a = "b\\n" }', '42', 'hi\tnil\ttrue', 'nil', 'nil', '1', '2', '3', '']);
  });

  test('sees the modules of the application as its routes do, and can wait', async () => {
    const { status, out } = await type(server, 'require "shop"\nlocal shop = require "shop"; fitnessally.sleep(30); shop.add(39)\nfitnessally.memory().status ~= nil\n');
    assert.deepEqual([status, out], [0, '{ add = function (shop.lua:3), count = 3, names = { "a", "b" } }\ntrue\n']);
    assert.equal((await call(server, 'GET', '/count')).json.count, 42);
  });

  test('is a script that is not trusted', async () => {
    for (const [code, wanted] of [['io', /^nil\n$/], ['debug', /^nil\n$/], ['settings.workers', /^1\n$/]]) {
      assert.match((await type(server, `${code}\n`)).out, wanted);
    }
    assert.match((await type(server, 'fitnessally.version = 1\n')).err, /read-only/);
    assert.match((await type(server, 'app:get("/x", function() end)\n')).err, /routes are declared while app\.lua is loaded/);
  });

  test('tells an error with its traceback; from a pipe nothing runs after it, and the status is 1', async () => {
    const { status, out, err } = await type(server, 'function deep() error("no such thing") end\nprint(1) deep()\nprint(2)\n');
    assert.deepEqual([status, out], [1, '1\n']);
    assert.match(err, /^repl:1: no such thing\nstack traceback:\n/);
    assert.doesNotMatch(err, /\[repl\]/, 'what is ours is no part of it');
    const broken = await type(server, 'x = = 1\nprint(2)\n');
    assert.deepEqual([broken.status, broken.out], [1, '']);
    assert.match(broken.err, /^repl:1: unexpected symbol near '='\n$/);
    assert.match((await type(server, 'for i = 1, 2 do\n')).err, /'end' expected/, 'a chunk that never ends');
  });

  test('runs a file as one chunk', async () => {
    const file = path.join(app.folder, 'script.lua');
    writeFileSync(file, 'local a = 20\nlocal b = 22\n\nprint(a + b)\n');
    assert.deepEqual(await type(server, '', file), { status: 0, out: '42\n', err: '' });
    writeFileSync(file, 'local a = 20\nerror("here")\n');
    assert.match((await type(server, '', file)).err, /repl:2: here/);
    assert.match((await type(server, '', path.join(app.folder, 'none.lua'))).err, /No such file/);
    writeFileSync(file, `--${'x'.repeat(70_000)}\n`);
    assert.match((await type(server, '', file)).err, /at most 65536 bytes/);
  });

  test('is stopped when it does not wait, or takes too much memory, and nobody else notices', async () => {
    let asking = true;
    const others = (async () => {
      let count = 0;
      for (; asking; ++count) assert.equal((await call(server, 'GET', '/count')).status, 200);
      return count;
    })();
    const runaways = ['while true do end', 'while true do pcall(function() while true do end end) end',
      't = {} for i = 1, 1e9 do t[i] = ("x"):rep(1000) .. i end', 'function r() return 1 + r() end r()',
      'setmetatable({}, { __tostring = function() while true do end end })'];
    for (const code of runaways) {
      const { status, out, err } = await type(server, `${code}\n`);
      const told = out + err;
      assert.match(told, /ran for more than 100 ms|not enough memory|stack overflow/, code);
      assert.equal(/not enough memory/.test(err), /the globals of this repl are forgotten/.test(out), told);
      assert.ok(status === 1 || /__tostring/.test(code), `${code}: ${told}`);
    }
    asking = false;
    assert.ok((await others) > 0);
  });

  test('has its chunks in scopes of their own: handles and tasks end with the chunk', async () => {
    const { out, err } = await type(server, [
      'b = fitnessally.buffer { capacity = 100 }', 'tostring(b):find("a line of the repl") ~= nil',
      't = fitnessally.spawn(function() fitnessally.sleep(3600000) end)', 't:ended()', 'b:append("x")', ''].join('\n'));
    assert.equal(out, 'true\nfalse\n');
    assert.match(err, /buffer #\d+ 'buffer' of a line of the repl: used after release/);
  });

  test('ends with its client, whatever it waits for', async () => {
    const client = attach(server);
    client.write('print("waits") kept = fitnessally.buffer { capacity = 100000 } fitnessally.sleep(3600000)\n');
    await client.says(/waits/);
    assert.ok((await left()).bytes > 100_000, JSON.stringify(await left()));
    const { generations } = JSON.parse((await command('reload', server.pid, '--status', '--json')).out);
    assert.ok(generations[0].tasks >= 1);
    client.child.kill('SIGKILL');
    await client.ended;
    await nothingIsLeft();
    await server.logged(new RegExp(`repl: process ${client.child.pid} of user ${process.geteuid()} is attached to worker 0`));
    await server.logged(new RegExp(`repl: process ${client.child.pid} has left after 1 lines: it has closed the connection`));
    assert.doesNotMatch(server.log(), /kept = /, 'what is typed is in no log');
  });

  test('runs in the scripts that serve, also after a reload', async () => {
    const client = attach(server);
    client.write('x = 7\n=x\n');
    await client.says(/^7$/m);
    assert.equal((await command('reload', server.pid)).status, 0);
    client.write('=x\nprint("count is", require("shop").count)\n');
    await client.says(/-- generation 2 serves now: it knows no globals of this repl\nnil\ncount is\t3\n/);
    client.child.stdin.end();
    assert.equal(await client.ended, 0);
  });

  test('on a terminal has prompts, commands, and stops a line that waits at Ctrl-C', async () => {
    const program = `exec ${BIN} repl --pid ${server.pid}`;
    const client = attach(server, ['script', '-q', '-e', '-c', program, '/dev/null']);
    await client.says(/fitnessally \S+, process \d+, worker 0 of 1, generation \d+\r\n/);
    await client.says(/> $/);
    client.write('.help\n');
    await client.says(/\.quit {4}leaves/);
    client.write('.nonsense\n');
    await client.says(/there is no command \.nonsense/);
    client.write('function g()\n');
    await client.says(/>> $/);
    client.write('\x03');
    await client.says(/>> \^C\r\n> $/);
    client.write('fitnessally.sleep(3600000)\n');
    await client.says(/sleep\(3600000\)\r\n$/);
    await lines(server, (count) => count > 0);
    client.write('\x03');
    await client.says(/cancelled: a line of the repl ended \(the operator has stopped it\)/);
    client.write('error("on")\n');
    await client.says(/repl:1: on/);
    client.write('2 ^ 10\n');
    await client.says(/1024\r\n> $/);
    client.write('.quit\n');
    assert.equal(await client.ended, 0, 'an error before it is no failure of a terminal');
  });

  test('has a place for four at once', async () => {
    const clients = [1, 2, 3, 4].map(() => attach(server));
    for (const client of clients) client.write('print("in")\n');
    for (const client of clients) await client.says(/in\n/);
    const { status, err } = await type(server, '1\n');
    assert.deepEqual([status, err], [1, 'fitnessally: 4 repls are open, the most there may be\n']);
    for (const client of clients) client.child.stdin.end();
    for (const client of clients) assert.equal(await client.ended, 0);
    await nothingIsLeft();
    assert.equal((await type(server, '1\n')).out, '1\n');
  });

  test('is refused where there is no such worker', async () => {
    assert.match((await type(server, '1\n', '--worker', '1')).err, /there is no worker 1: they are numbered from 0 to 0/);
    assert.equal((await type(server, '1\n', '--worker', 'x')).status, 2);
  });

  /** A client that speaks the frames itself: {socket, frames()}. */
  async function speak() {
    const folder = [process.env.XDG_RUNTIME_DIR && path.join(process.env.XDG_RUNTIME_DIR, 'fitnessally'), `/tmp/fitnessally-${process.geteuid()}`];
    const socket = net.connect(path.join(folder.find(Boolean), `${server.pid}.sock`));
    let bytes = Buffer.alloc(0);
    const greeted = new Promise((resolve) => socket.once('data', resolve));
    const ended = new Promise((resolve) => socket.once('close', resolve));
    socket.on('data', (part) => (bytes = Buffer.concat([bytes, part]))).on('error', () => {});
    socket.write('repl 0\n');
    await within(10_000, greeted, 'the greeting');
    return { socket, ended, frames: () => framesOf(bytes) };
  }

  test('ends for a client that does not keep to the protocol', async () => {
    const wrong = [frame('r', ''), frame('z', 'what'), Buffer.from('GET / HTTP/1.1\r\n\r\n'), Buffer.concat([frame('r', 'fitnessally.sleep(60000)'), frame('r', '1')]),
      Buffer.from([0x72, 0, 1, 0, 1])];
    for (const bytes of wrong) {
      const client = await speak();
      client.socket.write(bytes);
      await within(10_000, client.ended, `the end after ${bytes}`);
      assert.match(client.frames().at(-1).join(' '), /^x (what came is no line, or too long a one|a line came before the last one was over)$/);
    }
    const whole = await speak(); /* the longest line there may be, in pieces */
    const bytes = frame('r', `--${'x'.repeat(64 * 1024 - 10)}\nreturn 5`.slice(0, 64 * 1024));
    for (let at = 0; at < bytes.length; at += 1000) whole.socket.write(bytes.subarray(at, at + 1000));
    const answered = (async () => {
      while (!whole.frames().some(([type]) => type === 'v' || type === 'e')) await new Promise((resolve) => setTimeout(resolve, 20));
    })();
    await within(10_000, answered, 'an answer to the longest line');
    whole.socket.destroy();
  });

  test('holds what a client does not read only up to a limit, and says what was left out', async () => {
    const client = await speak();
    const held = async () => JSON.parse(await askControl(server.pid, 'memory report')).ledger.byKind.server.bytes;
    const before = await held();
    client.socket.pause();
    client.socket.write(frame('r', 'local s = ("x"):rep(10000) for i = 1, 100 do for k = 1, 20 do print(s) end fitnessally.sleep(1) end'));
    let late = false;
    const full = (async () => {
      while (!late && (await held()) - before < 500_000);
    })();
    await within(30_000, full, 'something to wait').finally(() => (late = true));
    await lines(server, (count) => count === 0);
    const more = (await held()) - before;
    assert.ok(more < 2_000_000, `${more} bytes wait`);
    client.socket.resume();
    const over = (async () => {
      while (!client.frames().some(([type]) => type === 'v')) await new Promise((resolve) => setTimeout(resolve, 20));
    })();
    await within(30_000, over, 'the end of the line');
    const printed = client.frames().filter(([type]) => type === 'p').length;
    const notice = client.frames().find(([type, text]) => type === 'n' && /left out/.test(text));
    assert.equal(Number(/^(\d+)/.exec(notice[1])[1]), (2000 - printed) * 10_001);
    client.socket.destroy();
  });
});

test('a server that stops ends its repls, and says so', async () => {
  const app = makeApp();
  const server = await startServer('-c', app.configure(2));
  const clients = [attach(server, [BIN, 'repl', '--pid', String(server.pid), '--worker', '1']), attach(server)];
  for (const client of clients) client.write('print("waits") fitnessally.sleep(3600000)\n');
  for (const client of clients) await client.says(/waits/);
  await server.stop();
  for (const client of clients) {
    assert.equal(await client.ended, 1);
    assert.match(client.text, /-- the server stops\n/);
  }
});

test('repl = false: nobody may have one', async () => {
  const app = makeApp();
  const server = await startServer('-c', app.configure(1), '--set', 'repl=false');
  const { status, err } = await type(server, '1\n');
  assert.deepEqual([status, err], [1, 'fitnessally: this server has repl = false\n']);
  await server.stop();
});
