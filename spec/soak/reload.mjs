// Reloads under load: requests at a fixed rate and live dialogues, while the scripts are edited and loaded anew again and again, some of
// the edits broken. No request may fail, none may be answered by older scripts than a reload has promised, none and no turn by two at
// once; in the end nothing of old scripts is left.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { call } from '../e2e/support/client.mjs';
import { startServer, within } from '../e2e/support/server.mjs';
import { isMain, readOptions } from '../bench/support/options.mjs';
import { MB, leftovers, memory, sampler } from '../bench/support/process.mjs';
import { slope } from '../bench/support/statistics.mjs';

const USAGE = `usage: node spec/soak/reload.mjs [--reloads 100] [--rate 5000] [--connections 32] [--dialogues 200] [--turn 500] [--workers 2]
                                [--pause 200] [--json] [--set KEY=VALUE]...
  --rate N      requests a second that are offered; what the machine could give is told
  --turn MS     how long a turn takes
  --pause MS    between two reloads
FA_BIN: the program.`;

// The word is in both files, so that an answer of two generations would show.
const app = (word, turn) => `local word, other = "${word}", require "lib.word"
local function flow(turn)
  turn:push("begin", { word = word })
  fitnessally.sleep(${turn})
  turn:push("end", { word = require("lib.word") })
end
app:get("/word", function(req) req:reply { text = word .. ":" .. other } end)
app:get("/ask", function(req)
  local asked, code = voice.ask(req, { text = "hello", flow = flow })
  if not asked then return req:fail(503, code, code) end
  req:reply { text = asked.dialogueId }
end)
app:get("/listen", function(req) voice.listen(req, req:query "id") end)
app:get("/api/health/memory", function(req) req:reply { type = "application/json", text = fitnessally.memory("report", "json") } end)
app:get("/generations", function(req) req:reply { json = fitnessally.generations() } end)
app:on_start(function() while true do fitnessally.sleep(50) end end)
`;

const BROKEN = [
  (text) => `${text}\noops oops\n`,
  (text) => `${text}\nlocal nothing\nnothing.at = 1\n`,
  (text) => `${text}\napp:get("/word", function() end)\n`,
  (text) => `${text}\nrequire "lib.gone"\n`,
];

function edit(folder, word, options, breakIt) {
  mkdirSync(path.join(folder, 'lib'), { recursive: true });
  writeFileSync(path.join(folder, 'lib/word.lua'), `return "${word}"\n`);
  const text = app(word, options.turn);
  writeFileSync(path.join(folder, 'app.lua'), breakIt ? breakIt(text) : text);
}

/** Asks the control socket; {ok, ...}. */
function reload(socket) {
  const answer = new Promise((resolve, reject) => {
    let text = '';
    const client = net.connect(socket, () => client.write('reload json\n'));
    client.setEncoding('utf8').on('data', (part) => { text += part; });
    client.on('error', reject).on('end', () => resolve(JSON.parse(text.slice(text.indexOf('\n') + 1))));
  });
  return within(30_000, answer, 'an answer to reload');
}

/** One connection that asks for /word whenever `state.due` says that it is time. */
class Asker {
  constructor(server, state) {
    this.state = state;
    this.text = '';
    this.socket = net.connect(server.port, '127.0.0.1').setNoDelay(true);
    this.socket.setEncoding('latin1').on('data', (part) => this.read(part));
    this.socket.on('error', (error) => state.problems.push(`a request: ${error.message}`));
    this.socket.on('close', () => this.closed());
  }

  ask() {
    this.least = this.state.promised;
    this.began = performance.now();
    this.socket.write('GET /word HTTP/1.1\r\nHost: localhost\r\n\r\n');
  }

  read(part) {
    this.text += part;
    const end = this.text.indexOf('\r\n\r\n');
    const length = end < 0 ? null : /\r\ncontent-length: (\d+)/i.exec(this.text);
    if (!length || this.text.length < end + 4 + Number(length[1])) return;
    this.judge(Number(this.text.slice(9, 12)), this.text.slice(end + 4));
    this.text = '';
    this.began = 0;
    this.state.idle.push(this);
  }

  judge(status, body) {
    const { state } = this;
    const [word, other] = body.split(':').map(Number);
    state.latencies.push(performance.now() - this.began);
    state.answered++;
    if (status !== 200) state.problems.push(`status ${status}: ${body}`);
    else if (word !== other) state.problems.push(`of two generations: ${body}`);
    else if (word < this.least) state.problems.push(`of older scripts: ${word}, ${this.least} was promised`);
  }

  closed() {
    if (!this.state.over) this.state.problems.push('a connection was closed');
  }
}

/** Offers the rate until `state.over`: what is due and finds no idle connection waits. */
async function offer(state, rate) {
  const began = performance.now();
  let asked = 0;
  while (!state.over) {
    const due = ((performance.now() - began) / 1000) * rate;
    while (asked < due && state.idle.length) {
      state.idle.shift().ask();
      asked++;
    }
    await (state.idle.length ? pause(1) : new Promise(setImmediate));
  }
}

function listen(server, id) {
  return new Promise((resolve, reject) => {
    http.get(`${server.url}/listen?id=${id}`, { agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part) => { text += part; });
      response.on('error', reject).on('end', () => resolve(text));
    }).on('error', reject);
  });
}

/** One dialogue after the other. */
async function talk(server, state) {
  for (let i = 0; !state.over; i++) {
    const least = state.promised;
    const { status, text: id } = await call(server, 'GET', '/ask', { headers: { 'User-Agent': `talker/${Math.random()}` } });
    if (status !== 200) {
      state.problems.push(`a dialogue: ${status} ${id}`);
      return;
    }
    const text = await within(30_000, listen(server, id), 'the end of a turn');
    const words = [...text.matchAll(/"word":"(\d+)"/g)].map(([, word]) => Number(word));
    state.turns++;
    if (words.length !== 2 || words[0] !== words[1]) state.problems.push(`a turn of two generations: ${words}`);
    else if (words[0] < least) state.problems.push(`a turn of older scripts: ${words[0]}, ${least} was promised`);
    if (!/"status":"completed"/.test(text)) state.problems.push(`a turn that was not completed: ${text.slice(-200)}`);
  }
}

/** Edits and reloads; a third of the edits is broken. Too many generations: asked again, as soon as one may have gone. */
async function reloads(server, state, folder, options) {
  const socket = path.join(options.control, `${server.pid}.sock`);
  for (let i = 1; i <= options.reloads; i++) {
    await pause(options.pause);
    const breakIt = i % 3 === 0 ? BROKEN[(i / 3) % BROKEN.length] : null;
    edit(folder, i + 1, options, breakIt);
    let answer = await reload(socket);
    for (; answer.error?.code === 'too_many_generations'; answer = await reload(socket)) {
      state.refused++;
      await pause(50);
    }
    assert.equal(answer.ok, !breakIt, JSON.stringify(answer));
    if (breakIt) {
      state.broken++;
      assert.ok(answer.error.file && answer.error.line > 0 && answer.error.excerpt, JSON.stringify(answer));
    } else {
      state.promised = i + 1;
      state.loadMs.push(answer.loadMs);
      state.switchMs.push(answer.switchMs);
    }
  }
}

async function oneGeneration(server) {
  for (const until = Date.now() + 30_000; ;) {
    const { generations } = (await call(server, 'GET', '/generations')).json;
    if (generations.length === 1) return;
    assert.ok(Date.now() < until, JSON.stringify(generations));
    await pause(50);
  }
}

/** But for the task of app:on_start, which each worker has. */
async function nothingLeft(server, { workers }) {
  for (const until = Date.now() + 20_000; ;) {
    const left = (await leftovers(server)).filter((line) => line !== `tasks: ${workers}`);
    if (!left.length) return;
    assert.ok(Date.now() < until, left.join(', '));
    await pause(100);
  }
}

const part = (values, share) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))];

export async function run(options) {
  const folder = mkdtempSync(path.join(tmpdir(), 'fitnessally-reload-'));
  const control = mkdtempSync(path.join(tmpdir(), 'fitnessally-control-'));
  const state = { idle: [], promised: 1, answered: 0, turns: 0, broken: 0, refused: 0, over: false, problems: [], latencies: [], loadMs: [], switchMs: [] };
  const settings = [`app=${folder}`, `control_dir=${control}`, `workers=${options.workers}`, 'plugins_enabled=', 'duplicate_window=0s',
    'linger=0s', 'log_level=error', 'max_connections_per_address=0', 'max_requests_per_connection=0', 'accept_rate=0', ...options.set];
  edit(folder, 1, options, null);
  const server = await startServer(...settings.flatMap((setting) => ['--set', setting]));
  try {
    const askers = Array.from({ length: options.connections }, () => new Asker(server, state));
    state.idle.push(...askers);
    const began = performance.now();
    const rss = sampler(250, () => [(performance.now() - began) / 1000, memory(server.pid).rss]);
    const load = Promise.all([offer(state, options.rate), ...Array.from({ length: options.dialogues }, () => talk(server, state))]);
    await Promise.race([load, reloads(server, state, folder, { ...options, control })]);
    const seconds = (performance.now() - began) / 1000;
    const rate = state.answered / seconds;
    state.over = true;
    rss.stop();
    await load;
    askers.forEach(({ socket }) => socket.destroy());
    await oneGeneration(server);
    await nothingLeft(server, options);
    const points = rss.samples.filter(([at]) => at > seconds * 0.3).map(([at, bytes]) => [at, bytes / MB]);
    return { reloads: options.reloads, broken: state.broken, refusedAsked: state.refused, seconds, rate, requests: state.answered,
      turns: state.turns, problems: state.problems.slice(0, 20), problemCount: state.problems.length,
      p50: part(state.latencies, 0.5), p99: part(state.latencies, 0.99), loadMs: part(state.loadMs, 0.5), loadMsMost: Math.max(...state.loadMs),
      switchMs: part(state.switchMs, 0.5), switchMsMost: Math.max(...state.switchMs),
      rss: { first: points[0][1], last: points.at(-1)[1], afterwards: memory(server.pid).rss / MB, line: slope(points) } };
  } finally {
    state.over = true;
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
    rmSync(control, { recursive: true, force: true });
  }
}

async function main() {
  const options = readOptions({ reloads: 100, rate: 5000, connections: 32, dialogues: 200, turn: 500, workers: 2, pause: 200, json: false }, USAGE);
  const result = await run(options);
  const { rss } = result;
  const figure = (value) => value.toFixed(2);
  if (options.json) console.log(JSON.stringify(result));
  else {
    console.log(`${result.reloads} reloads, ${result.broken} of them broken, in ${figure(result.seconds)} s; ${result.refusedAsked} times asked again because three generations lived`);
    console.log(`${result.requests} requests, ${figure(result.rate)} a second of ${options.rate} offered; p50 ${figure(result.p50)} ms, p99 ${figure(result.p99)} ms; ${result.turns} turns, ${options.dialogues} at a time`);
    console.log(`loading ${figure(result.loadMs)} ms (most ${figure(result.loadMsMost)}), changing over ${figure(result.switchMs)} ms (most ${figure(result.switchMsMost)})`);
    console.log(`RSS ${figure(rss.first)} MB, then ${figure(rss.last)} MB, ${figure(rss.line.slope * 60)} +- ${figure(rss.line.margin * 60)} MB a minute; ${figure(rss.afterwards)} MB afterwards`);
    console.log(`${result.problemCount} failed or mixed answers${result.problems.map((problem) => `\n  ${problem}`).join('')}`);
  }
  process.exit(result.problemCount === 0 ? 0 : 1);
}

if (isMain(import.meta)) await main();
