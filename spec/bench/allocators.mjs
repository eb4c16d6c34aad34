// The burst under each allocator and setting, as a table: that is how the one in CMakeLists.txt was chosen. The program under
// test must be one that was built with FA_ALLOCATOR=system:
//
//   cmake --preset release -B build-system -DFA_ALLOCATOR=system && ninja -C build-system
//   FA_BIN=$PWD/build-system/fitnessally ./dev soak allocators

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { readOptions } from './support/options.mjs';

const USAGE = `usage: node spec/bench/allocators.mjs [--dialogues 2000] [--rounds 2] [--only TEXT] [--set KEY=VALUE]...
  --only TEXT    those of which the name contains it`;

const JEMALLOC = '/usr/lib/x86_64-linux-gnu/libjemalloc.so.2';
const MIMALLOC = '/usr/lib/x86_64-linux-gnu/libmimalloc.so.2';
const jemalloc = (conf) => ({ name: `jemalloc ${conf}`, env: { FA_PRELOAD: JEMALLOC, MALLOC_CONF: conf } });
const mimalloc = (env) => ({
  name: `mimalloc ${Object.entries(env).map(([key, value]) => `${key.replace('MIMALLOC_', '').toLowerCase()}=${value}`).join(' ')}`,
  env: { FA_PRELOAD: MIMALLOC, ...env },
});

const CANDIDATES = [
  { name: 'glibc with the mallopt of core/main.c', env: {} },
  jemalloc('abort_conf:true'),
  jemalloc('narenas:2,background_thread:true,dirty_decay_ms:5000,muzzy_decay_ms:0'),
  jemalloc('narenas:2,background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0'),
  jemalloc('narenas:2,background_thread:true,dirty_decay_ms:0,muzzy_decay_ms:0'),
  jemalloc('background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0'),
  jemalloc('background_thread:true,percpu_arena:percpu,dirty_decay_ms:1000,muzzy_decay_ms:0'),
  mimalloc({}),
  mimalloc({ MIMALLOC_RESET_DELAY: '0' }),
  mimalloc({ MIMALLOC_PAGE_RESET: '1', MIMALLOC_RESET_DELAY: '100', MIMALLOC_EAGER_COMMIT_DELAY: '4' }),
  mimalloc({ MIMALLOC_ABANDONED_PAGE_RESET: '1', MIMALLOC_PAGE_RESET: '1', MIMALLOC_RESET_DELAY: '0', MIMALLOC_EAGER_COMMIT: '0' }),
];

const options = readOptions({ dialogues: 2000, rounds: 2, only: '' }, USAGE);
const { allocator } = JSON.parse(execFileSync(process.env.FA_BIN ?? 'build/fitnessally', ['version', '--json']));
if (!allocator.startsWith('glibc')) {
  console.error(`FA_BIN runs on ${allocator}: build one with FA_ALLOCATOR=system (see the top of spec/bench/allocators.mjs)`);
  process.exit(2);
}
const program = path.join(path.dirname(fileURLToPath(import.meta.url)), 'burst.mjs');
console.log('| allocator | start | warm | peak | +10 s | over | dialogues/s | CPU ms each |\n|---|---|---|---|---|---|---|---|');
for (const { name, env } of CANDIDATES.filter((one) => one.name.includes(options.only))) {
  if (env.FA_PRELOAD && !existsSync(env.FA_PRELOAD)) {
    console.log(`| ${name} | not installed |`);
    continue;
  }
  for (let round = 0; round < options.rounds; round++) {
    const args = [program, '--json', '--dialogues', String(options.dialogues), ...options.set.flatMap((one) => ['--set', one])];
    const { stdout, stderr } = spawnSync(process.execPath, args, { env: { ...process.env, ...env }, encoding: 'utf8' });
    if (!stdout) {
      console.log(`| ${name} | failed: ${stderr.trim().split('\n').pop()} |`);
      break;
    }
    const f = JSON.parse(stdout);
    console.log(`| ${name} | ${f.start} | ${f.warm} | ${f.peak} | ${f.end} | ${f.over} | ${f.perSecond.toFixed(0)} | ${f.cpuMs.toFixed(2)} |`);
  }
}
