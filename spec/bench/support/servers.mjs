// The servers that ./dev bench http puts side by side: ours, nginx, h2o and Node, each with one worker, on 127.0.0.1.

import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { REPO, startServer } from '../../e2e/support/server.mjs';

const HERE = path.join(REPO, 'spec/bench/http');
const TOOLS = path.join(REPO, 'build/bench-tools'); // where ./dev unpacks what it does not install

/** Its path: the unpacked one, else one that is installed, else null. */
export function tool(name, where) {
  const unpacked = path.join(TOOLS, where, name);
  if (existsSync(unpacked)) return unpacked;
  try {
    return execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim();
  } catch {
    return null;
  }
}

const freePort = () =>
  new Promise((resolve, reject) => {
    const server = net.createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

async function reachable(port, child) {
  for (let i = 0; i < 200 && child.exitCode === null; i++) {
    const open = await new Promise((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
      socket.on('connect', () => socket.destroy());
    });
    if (open) return;
    await pause(50);
  }
  throw new Error(`${child.spawnfile} does not listen`);
}

/** A process of ours that is killed at the end, however that comes. */
async function launch(name, program, args, port) {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', process.env.FA_LOG ? 'inherit' : 'ignore'] });
  const kill = () => child.kill('SIGTERM');
  process.once('exit', kill);
  await reachable(port, child);
  async function stop() {
    process.removeListener('exit', kill);
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await gone;
  }
  return { name, port, pid: child.pid, url: `http://127.0.0.1:${port}`, stop };
}

/** All processes of a server: itself and its children. */
export function pids(pid) {
  const found = [pid];
  for (const entry of readdirSync('/proc').filter((one) => /^\d+$/.test(one))) {
    try {
      const fields = readFileSync(`/proc/${entry}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ');
      if (Number(fields[1]) === pid) found.push(Number(entry));
    } catch {
      // it has ended meanwhile
    }
  }
  return found;
}

export async function startOurs(files, set = []) {
  const own = [`app=${path.join(HERE, 'app')}`, `media_root=${files}`, 'plugins_enabled=', 'workers=1', 'log_level=warn', ...set];
  const server = await startServer(...own.flatMap((setting) => ['--set', setting]));
  return { ...server, name: 'ours' };
}

export async function startNode() {
  const port = await freePort();
  return launch('node', process.execPath, [path.join(HERE, 'node.mjs'), String(port)], port);
}

/** Debian's, as its own configuration has it, but for the log and for connections that are kept however long. */
export async function startNginx(files, folder) {
  const program = tool('nginx', 'usr/sbin');
  if (!program) return null;
  const port = await freePort();
  const own = path.join(folder, 'nginx');
  mkdirSync(own);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((one) => `${one}_temp_path ${own}/${one};`).join(' ');
  writeFileSync(path.join(own, 'nginx.conf'), `
    daemon off; worker_processes 1; pid ${own}/pid; error_log stderr crit;
    ${process.getuid() === 0 ? 'user root root;' : ''}
    events { worker_connections 1024; }
    http {
      ${temporary}
      types { image/gif gif; application/octet-stream bin; }
      default_type application/octet-stream; sendfile on; tcp_nopush on; access_log off; keepalive_requests 1000000000;
      server {
        listen 127.0.0.1:${port};
        location /json { default_type application/json; return 200 '{"message":"Hello, World!"}'; }
        location /files/ { alias ${files}/; }
      }
    }`);
  return launch('nginx', program, ['-p', own, '-c', `${own}/nginx.conf`, '-e', 'stderr'], port);
}

/** Debian's, with the file handler that everybody gets. */
export async function startH2o(files, folder) {
  const program = tool('h2o', 'usr/bin');
  if (!program) return null;
  const port = await freePort();
  const configuration = path.join(folder, 'h2o.conf');
  writeFileSync(configuration, `
num-threads: 1
${process.getuid() === 0 ? 'user: root' : ''}
listen: { host: 127.0.0.1, port: ${port} }
hosts: { default: { paths: { "/files": { file.dir: ${files} } } } }
`);
  return launch('h2o', program, ['-m', 'worker', '-c', configuration], port);
}
