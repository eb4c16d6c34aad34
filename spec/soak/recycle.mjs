// An upstream gets a fresh pool every second for a minute while 1,000 requests a second go through it: none fails, no connection is left.

import { isMain, readOptions } from '../bench/support/options.mjs';
import { recycleUnderLoad } from '../e2e/support/upstreams.mjs';

const USAGE = `usage: node spec/soak/recycle.mjs [--seconds 60] [--rate 1000] [--every 1000] [--workers 2] [--json]
  --every MS   between two fresh pools
FA_BIN: the program.`;

if (isMain(import.meta)) {
  const options = readOptions({ seconds: 60, rate: 1000, every: 1000, workers: 2, json: false }, USAGE);
  const tally = await recycleUnderLoad(options);
  console.log(options.json ? JSON.stringify(tally) : Object.entries(tally).map(([name, value]) => `${name}: ${value}`).join('\n'));
  process.exitCode = tally.failed === 0 && tally.transfers === 0 ? 0 : 1;
}
