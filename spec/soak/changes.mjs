// What an operator changes under load: drains, certificate reloads and new processes at a fixed rate of requests, in the clear and with TLS,
// each request accounted for. No request may fail; after a drain there is nobody, so that what comes then is refused, and that alone.

import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';

import { startServer, within } from '../e2e/support/server.mjs';
import { missing, steady } from '../e2e/support/steady.mjs';
import { makeApp, succession } from '../e2e/support/succession.mjs';
import { connect, makeCertificates, startSecureServer, until } from '../e2e/support/tls.mjs';
import { isMain, readOptions } from '../bench/support/options.mjs';

const USAGE = `usage: node spec/soak/changes.mjs [--rate 5000] [--rounds 5] [--seconds 10] [--fresh 50] [--fresh-tls 2] [--workers 2] [--json]
  --rate N        requests a second
  --rounds N      drains, and new processes
  --seconds N     of certificate reloads, ten a second
  --fresh N       percent of the requests that open a connection, in the clear; --fresh-tls: with TLS, where each is a handshake
FA_BIN: the program.`;

/** The figures of several runs as one. */
function add(all) {
  const sum = (key) => all.reduce((total, one) => total + one[key], 0);
  const most = (key) => Math.max(...all.map((one) => one[key]));
  return { sent: sum('sent'), answered: sum('answered'), refused: sum('refused'), failed: sum('failed') - sum('refused'),
    rate: Math.min(...all.map((one) => one.rate)), p99: most('p99'), max: most('max') };
}

async function drains(start, port, load, { rounds }) {
  const all = [];
  for (let i = 0; i < rounds; ++i) {
    const server = await start();
    const loading = steady(server[port], 1.6, load);
    await pause(1200);
    await server.stop();
    all.push(await loading);
  }
  return { changes: rounds, ...add(all) };
}

async function processes(start, port, load, { rounds }) {
  let figures;
  await succession([], async (server, next) => {
    const loading = steady(server[port], rounds + 1, load);
    for (let i = 0; i < rounds; ++i) {
      await pause(700);
      await next();
    }
    figures = await loading;
  }, start);
  return { changes: rounds, ...add([figures]) };
}

async function certificates(options, load, configured) {
  const made = makeCertificates('alpha', 'first', 'second');
  const server = await startSecureServer(made, ['alpha'], '-c', configured);
  try {
    const loading = steady(server.securePort, options.seconds, load);
    let changes = 0;
    for (const end = Date.now() + options.seconds * 1000 - 300; Date.now() < end; await pause(100)) {
      const name = ++changes % 2 ? 'first' : 'second';
      const before = server.log().length;
      made.become('alpha', name);
      process.kill(server.pid, 'SIGHUP');
      await within(5_000, until(() => /certificates reloaded/.test(server.log().slice(before))), 'the reload');
      const socket = await connect(server);
      assert.equal(socket.getPeerCertificate().subject.CN, name);
      socket.destroy();
    }
    return { changes, ...add([await loading]) };
  } finally {
    await server.stop();
  }
}

export async function run(options) {
  const configured = makeApp().configure(options.workers);
  const clear = { rate: options.rate, fresh: options.fresh };
  const secure = { rate: options.rate, fresh: options.fresh_tls, secure: true };
  const start = (...args) => startServer('-c', configured, ...args);
  const made = makeCertificates('alpha');
  const startSecure = (...args) => startSecureServer(made, ['alpha'], '-c', configured, ...args);
  return {
    'drain': await drains(start, 'port', clear, options),
    'drain, TLS': await drains(startSecure, 'securePort', secure, options),
    'new process': await processes(start, 'port', clear, options),
    'new process, TLS': await processes(startSecure, 'securePort', secure, options),
    'certificates': await certificates(options, secure, configured),
  };
}

async function main() {
  const options = readOptions({ rate: 5000, rounds: 5, seconds: 10, fresh: 50, fresh_tls: 2, workers: 2, json: false }, USAGE);
  assert.ok(!missing, missing);
  const results = await run(options);
  if (options.json) console.log(JSON.stringify(results));
  else {
    for (const [name, { changes, sent, answered, failed, refused, rate, p99, max }] of Object.entries(results)) {
      console.log(`${name.padEnd(17)} ${changes} times: ${sent} sent, ${rate} a second, ${answered} answered, ${failed} failed` +
        `${refused ? `, ${refused} refused with nobody there` : ''}; p99 ${p99} ms, most ${max} ms`);
    }
  }
  process.exit(Object.entries(results).every(([name, { failed, refused }]) => failed === 0 && (refused === 0 || name.startsWith('drain'))) ? 0 : 1);
}

if (isMain(import.meta)) await main();
