// A crowd of clients that go on visiting (visits.mjs) until they are killed: for resets.test.mjs.

import { setTimeout as pause } from 'node:timers/promises';

import { VISITS, visitor } from './visits.mjs';

const server = JSON.parse(process.argv[2]);

async function goOn(go, secure) {
  for (;;) {
    const { raw, socket } = visitor(server, secure);
    await go(socket).catch(() => {});
    await pause(1);
    raw.destroy();
  }
}

for (const [, go] of VISITS) [undefined, 'TLSv1.2', 'TLSv1.3'].forEach((secure) => goOn(go, secure));
setTimeout(() => console.log('here we are'), 1000);
