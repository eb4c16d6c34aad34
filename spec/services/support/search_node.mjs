// Starts a real OpenSearch or Elasticsearch node in a JVM. Its packages come by Maven, once; afterwards nothing is fetched.

import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const FOLDER = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../search');
const FETCH_MS = 70_000;
const LOOK_MS = 20_000;
const START_MS = 50_000;

export class CannotRun extends Error {}

function run(program, args, timeout) {
  return new Promise((resolve) => {
    execFile(program, args, { timeout, maxBuffer: 1 << 24 }, (error, out, err) =>
      resolve({ ok: !error, missing: error?.code === 'ENOENT', text: out + err }));
  });
}

async function classPath(product, scratch) {
  for (const program of [['java', '-version'], ['javac', '-version'], ['mvn', '-v']]) {
    const { ok } = await run(program[0], program.slice(1), LOOK_MS);
    if (!ok) throw new CannotRun(`there is no ${program[0]}: ./dev setup services installs it`);
  }
  const file = path.join(scratch, 'classpath');
  const ask = ['-q', '-B', '-f', path.join(FOLDER, 'pom.xml'), `-P${product}`, 'dependency:build-classpath', `-Dmdep.outputFile=${file}`];
  const here = await run('mvn', ['-o', ...ask], LOOK_MS);
  const fetched = here.ok || (await run('mvn', ask, FETCH_MS)).ok;
  if (!fetched) throw new CannotRun(`the packages of ${product} cannot be had`);
  return readFileSync(file, 'utf8').trim();
}

// The two have grown from one: what is used here lies in packages of nearly the same names.
function sourceFor(product) {
  const source = readFileSync(path.join(FOLDER, 'SearchNode.java'), 'utf8');
  if (product === 'opensearch') return source;
  return source.replaceAll('org.opensearch.', `org.${product}.`).replace('.index.reindex.', '.reindex.');
}

/** Resolves to {url, stop}. CannotRun: there is no Java, no Maven or no package. */
export async function startSearchNode(product) {
  const scratch = mkdtempSync(path.join(tmpdir(), 'fitnessally-node-'));
  const remove = () => rmSync(scratch, { recursive: true, force: true });
  let child;
  try {
    const classes = await classPath(product, scratch);
    const source = path.join(scratch, 'SearchNode.java');
    writeFileSync(source, sourceFor(product));
    child = spawn('java', ['-Xms256m', '-Xmx512m', '-XX:+UseSerialGC', '-cp', classes, source], { cwd: scratch, stdio: ['pipe', 'pipe', 'pipe'] });
  } catch (error) {
    remove();
    throw error;
  }
  const kill = () => child.kill('SIGKILL');
  process.once('exit', kill);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  let said = '';
  const late = setTimeout(kill, START_MS);
  const url = await new Promise((resolve, reject) => {
    const hear = (text) => {
      said = (said + text).slice(-4000);
      const line = /listening on (http:\/\/\S+)/.exec(said);
      if (line) resolve(line[1]);
    };
    child.stdout.setEncoding('utf8').on('data', hear);
    child.stderr.setEncoding('utf8').on('data', hear);
    ended.then(() => reject(new Error(`the node did not start within ${START_MS} ms:\n${said}`)));
  }).finally(() => clearTimeout(late));
  return {
    url,
    async stop() {
      child.stdin.end();
      const hurry = setTimeout(kill, 20_000);
      await ended;
      clearTimeout(hurry);
      process.removeListener('exit', kill);
      remove();
    },
  };
}
