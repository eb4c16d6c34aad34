// Services that trickle, that lie about lengths, and names that are nobody's, over real sockets: what is said, how often they are asked, and
// that neither memory nor a transfer is left. Lengths and heads are written by hand: Node would not send them.

import assert from 'node:assert/strict';
import net from 'node:net';
import { after, afterEach, before, describe, test } from 'node:test';

import { ledgerAtZero, SLOW } from './support/server.mjs';
import { get, startApp } from './support/upstreams.mjs';

const OK = 'HTTP/1.1 200 OK\r\n';
const chunked = (text) => `${OK}Transfer-Encoding: chunked\r\n\r\n${text}`;

/** Each: what is said at once, and perhaps what is said again and again after it. */
const says = {
  head: [OK, 'X-More: and more\r\n'],
  wide: [`${OK}X-Long: `, 'x'],
  body: [`${OK}Content-Length: 100000\r\n\r\n`, 'x'],
  chunks: [chunked(''), '1\r\nx\r\n'],
  comments: [`${OK}Content-Type: text/event-stream\r\n\r\n`, ': still here\n\n'],
  flood: [OK, `X-More: ${'y'.repeat(8000)}\r\n`, 0],
  short: [`${OK}Content-Length: 10\r\n\r\nshort`],
  'short chunk': [chunked('10\r\nshort')],
  'no last chunk': [chunked('5\r\nshort\r\n')],
  'no size': [chunked('zz\r\nshort\r\n0\r\n\r\n')],
  'size of all': [chunked('fffffffffffffffff\r\nshort\r\n0\r\n\r\n')],
  negative: [`${OK}Content-Length: -5\r\n\r\nshort`],
  text: [`${OK}Content-Length: long\r\n\r\nshort`],
  two: [`${OK}Content-Length: 5\r\nContent-Length: 9\r\n\r\nshort`],
  twice: [`${OK}Content-Length: 5\r\nX-A: b\r\nContent-Length: 5\r\n\r\nshort`],
  huge: [`${OK}Content-Length: 99999999999999999999999\r\n\r\nshort`],
  'no blank line': [`${OK}Content-Length: 5\r\n`],
  'no HTTP': ['SSH-2.0-OpenSSH_9.2\r\n'],
  'no status': ['HTTP/1.1 abc OK\r\n\r\n'],
  'no status at all': ['HTTP/1.1\r\n\r\n'],
  'status 999': ['HTTP/1.1 999 Denied\r\nContent-Length: 5\r\n\r\nshort'],
  'status 600': ['HTTP/1.1 600 Odd\r\nContent-Length: 5\r\n\r\nshort'],
  'status 99': ['HTTP/1.1 99 Low\r\nContent-Length: 5\r\n\r\nshort', ''],
  'status 099': ['HTTP/1.1 099 Low\r\nContent-Length: 5\r\n\r\nshort', ''],
  'status 000': ['HTTP/1.1 000 None\r\nContent-Length: 5\r\n\r\nshort', ''],
  'status -20': ['HTTP/1.1 -20 Less\r\nContent-Length: 5\r\n\r\nshort', ''],
  'status 2000': ['HTTP/1.1 2000 More\r\nContent-Length: 5\r\n\r\nshort'],
  'another protocol': ['HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nshort', ''],
  'a provisional one': [`HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n${OK}Content-Length: 5\r\n\r\nshort`],
  'a control character': [`${OK}X-A: a\x01b\r\nContent-Length: 5\r\n\r\nshort`],
  'a delete': [`${OK}X-A: a\x7fb\r\nContent-Length: 5\r\n\r\nshort`],
  'a bare CR': [`${OK}X-A: a\rX-Evil: b\r\nContent-Length: 5\r\n\r\nshort`],
  'a CR too many': [`${OK}X-A: a\r\r\nContent-Length: 5\r\n\r\nshort`],
  'a NUL': [`${OK}X-A: a\0b\r\nContent-Length: 5\r\n\r\nshort`],
  'a name that is none': [`${OK}X A: b\r\nContent-Length: 5\r\n\r\nshort`],
  'no name': [`${OK}: b\r\nContent-Length: 5\r\n\r\nshort`],
  'no colon': [`${OK}X-A b\r\nContent-Length: 5\r\n\r\nshort`],
  'a folded length': [`${OK}Content-Length: 5\r\n 0\r\n\r\nshort`],
  'a coding folded': [`${OK}Transfer-Encoding:\r\n chunked\r\n\r\n5\r\nshort\r\n0\r\n\r\n`],
  'a coding with a space': [`${OK}Transfer-Encoding : chunked\r\n\r\n5\r\nshort\r\n0\r\n\r\n`],
  'a fold first': [`${OK} X-A: b\r\nContent-Length: 5\r\n\r\nshort`],
  'an unknown coding': [`${OK}Transfer-Encoding: odd\r\n\r\nshort`],
  odd: [`${OK}X-A: one\r\n\t two: three \r\n \r\n four\r\nX-B : b\r\nX-C: \xc3\xa4\tc\r\nX-D:\r\n d\r\nX-E:\r\nConnection: close\r\n`
    + 'Connection: X-Hop\r\nX-Hop: 1\r\nContent-Length: 5\r\n\r\nshort'],
};

let service, port, requests = 0, open = 0, app;
before(async () => {
  service = net.createServer((socket) => {
    open++;
    let timer;
    socket.on('error', () => {}).on('close', () => {
      open--;
      clearInterval(timer);
    });
    let head = '';
    socket.on('data', (bytes) => {
      head += bytes.toString('latin1');
      if (!head.includes('\r\n\r\n')) return;
      requests++;
      const [first, again, every = 20] = says[decodeURIComponent(head.split(' ')[1].slice(1))];
      head = '';
      if (again === undefined) return void socket.end(first, 'latin1');
      socket.write(first);
      timer = setInterval(() => socket.write(again), every);
    });
  });
  await new Promise((resolve) => service.listen(0, '127.0.0.1', resolve));
  ({ port } = service.address());
  const settings = [`upstreams.trickle.url=http://127.0.0.1:${port}`, `upstreams.trickle.total_timeout=${1500 * SLOW}ms`, 'upstreams.trickle.retries=0',
    `upstreams.lies.url=http://127.0.0.1:${port}`, 'upstreams.lies.retries=0', 'upstreams.lies.total_timeout=15s', 'upstreams.lies.breaker_failures=0', 'upstreams.trickle.breaker_failures=0',
    'upstreams.lies.max_head=64KB', 'upstreams.nobody.url=http://nobody.invalid', 'upstreams.nobody.connect_timeout=1min', 'upstreams.nobody.retries=0'];
  app = await startApp({ url: `http://127.0.0.1:${port}` }, '--workers', '1', ...settings.flatMap((one) => ['--set', one]));
});
after(async () => {
  await app?.stop();
  service?.close();
});
afterEach(() => ledgerAtZero(app));

/** The error of asking for it, and the most that the transfers have held. */
async function ask(up, what, how = 'get') {
  requests = 0;
  const { text, status } = await get(app, `/${how}?up=${up}&path=/${encodeURIComponent(encodeURIComponent(what))}`);
  const { ledger } = JSON.parse((await get(app, '/memory')).text);
  assert.ok(ledger.byKind.transfer.peakBytes < 512 * 1024, `${ledger.byKind.transfer.peakBytes} bytes of transfers`);
  return how === 'get' ? { ...JSON.parse(text), answer: status } : text;
}

describe('what trickles without end, each byte in time, ends at the total', () => {
  for (const what of ['head', 'wide', 'body', 'chunks']) {
    test(what, async () => {
      const began = performance.now();
      const { kind, which, answer, retryable } = await ask('trickle', what);
      assert.deepEqual([answer, kind, which, retryable, requests], [502, 'timeout', 'total', true, 1]);
      assert.ok(performance.now() - began >= 1490 * SLOW);
      for (let i = 0; open > 0 && i < 1000; ++i) await new Promise((resolve) => setTimeout(resolve, 5));
      assert.equal(open, 0, 'the connection is closed');
    });
  }

  test('a stream of nothing but comments', async () => {
    assert.equal(await ask('trickle', 'comments', 'words'), 'problem timeout');
    assert.equal(requests, 1);
  });
});

test('a head without end is refused at max_head', async () => {
  const { kind, answer } = await ask('lies', 'flood');
  assert.deepEqual([answer, kind, requests], [502, 'too_large', 1]);
});

describe('lengths and heads that are wrong', () => {
  const kinds = {
    short: 'cut', 'short chunk': 'cut', 'no last chunk': 'cut', 'no size': 'protocol', 'size of all': 'protocol', negative: 'protocol', text: 'protocol',
    two: 'protocol', huge: 'protocol', 'no blank line': 'cut', 'no HTTP': 'protocol', 'no status': 'protocol',
  };
  for (const [what, wanted] of Object.entries(kinds)) {
    test(what, async () => {
      const { kind, answer } = await ask('lies', what);
      assert.deepEqual([answer, kind, requests], [502, wanted, 1]);
    });
  }
});

test('heads that are no HTTP are an error of kind protocol, at once', async () => {
  const wrong = ['no status at all', 'status 999', 'status 600', 'status 99', 'status 099', 'status 000', 'status -20', 'status 2000', 'another protocol',
    'a control character', 'a delete', 'a bare CR', 'a CR too many', 'a NUL', 'a name that is none', 'no name', 'no colon', 'a folded length',
    'a coding folded', 'a coding with a space', 'a fold first', 'an unknown coding'];
  for (const what of wrong) {
    const { kind, answer } = await ask('lies', what);
    assert.deepEqual([answer, kind, requests], [502, 'protocol', 1], what);
  }
});

test('the same length twice is one', async () => {
  assert.equal((await get(app, '/get?up=lies&path=/twice')).text, 'short');
});

test('folded lines are unfolded, and the spaces before a colon taken away', async () => {
  const { status, headers } = JSON.parse((await get(app, '/heads?up=lies&path=/odd')).text);
  assert.equal(status, 200);
  assert.equal(headers['x-a'], 'one two: three four');
  assert.equal(headers['x-b'], 'b');
  assert.equal(headers['x-c'], 'ä\tc');
  assert.equal(headers['x-d'], 'd');
  assert.equal(headers['x-e'], '');
});

test('what is piped has no folded line, and no header of the hop, whichever Connection names it', async () => {
  const { status, headers, text } = await get(app, '/pipe?up=lies&path=/odd');
  assert.deepEqual([status, text], [200, 'short']);
  assert.equal(headers.get('x-a'), 'one two: three four');
  assert.equal(headers.get('x-b'), 'b');
  assert.equal(headers.get('x-hop'), null);
});

test('what is no HTTP is piped to nobody', async () => {
  for (const what of ['a control character', 'a bare CR', 'status 999', 'another protocol']) {
    const { status, text } = await get(app, `/pipe?up=lies&path=/${encodeURIComponent(encodeURIComponent(what))}`);
    assert.deepEqual([status, JSON.parse(text).kind], [502, 'protocol'], what);
  }
});

test('a provisional answer is passed over', async () => {
  const { status, headers } = JSON.parse((await get(app, '/heads?up=lies&path=/a%2520provisional%2520one')).text);
  assert.equal(status, 200);
  assert.equal(headers['x-early'], undefined);
});

test('a name that is nobody\'s', async () => {
  const { kind, retryable, attempts } = await ask('nobody', '');
  assert.deepEqual([kind, retryable, attempts, requests], ['dns', true, 1, 0]);
});
