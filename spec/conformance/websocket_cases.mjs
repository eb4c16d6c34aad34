// The case list of Autobahn's WebSocket test suite for a server, sections 1 to 7, 9 and 10, each under its number there. (12 and 13 are
// about compression, which is not offered.) What the RFC leaves open, and the suite only reports, is told by `informational`.
//
//   send      frames, or steps: a frame, {pause: ms}, {bytes: raw}
//   chop      bytes of each write; `turns`: each frame in a turn of its own
//   hears     what comes back before the end
//   closes    'client': we close with 1000, and the server answers that. A list: the server closes, with one of these codes.
//             {with: code, answer: [...]}: the last of our frames was a Close; undefined in the list is a Close without code.

import { BINARY, CLOSE, PING, PONG, TEXT, closeFrame, fragments, frame } from '../e2e/support/websocket.mjs';

const cases = [];
const add = (id, title, send, hears, closes = 'client', more = {}) => cases.push({ id, title, send, hears, closes, ...more });
const text = (data) => ({ is: 'text', data: Buffer.from(data) });
const binary = (data) => ({ is: 'binary', data: Buffer.from(data) });
const pong = (data = '') => ({ is: 'pong', data: Buffer.from(data) });
const repeated = (piece, length) => Buffer.alloc(length, piece);

// ---- 1: framing -------------------------------------------------------------------------------------------------------
for (const [part, opcode, told, piece] of [[1, TEXT, text, '*'], [2, BINARY, binary, Buffer.from([0xfe])]]) {
  [0, 125, 126, 127, 128, 65535, 65536, 65536].forEach((length, i) => {
    const payload = repeated(piece, length);
    add(`1.${part}.${i + 1}`, `${length} bytes${i === 7 ? ', 997 at a time' : ''}`, [frame(opcode, payload)], [told(payload)], 'client', { chop: i === 7 ? 997 : 0 });
  });
}

// ---- 2: pings and pongs -----------------------------------------------------------------------------------------------
const binaryPing = Buffer.from([0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff]);
const longPing = repeated(Buffer.from([0xfe]), 125);
const tenPings = Array.from({ length: 10 }, (_, i) => `payload-${i}`);
add('2.1', 'a ping without payload', [frame(PING)], [pong()]);
add('2.2', 'a ping with text', [frame(PING, 'Hello, world!')], [pong('Hello, world!')]);
add('2.3', 'a ping with bytes', [frame(PING, binaryPing)], [pong(binaryPing)]);
add('2.4', 'a ping of 125 bytes', [frame(PING, longPing)], [pong(longPing)]);
add('2.5', 'a ping of 126 bytes', [frame(PING, repeated(Buffer.from([0xfe]), 126))], [], [1002]);
add('2.6', 'a ping of 125 bytes, byte by byte', [frame(PING, longPing)], [pong(longPing)], 'client', { chop: 1 });
add('2.7', 'a pong nobody asked for', [frame(PONG)], []);
add('2.8', 'a pong with payload nobody asked for', [frame(PONG, 'unsolicited pong payload')], []);
add('2.9', 'a pong nobody asked for, then a ping', [frame(PONG, 'unsolicited pong payload'), frame(PING, 'ping payload')], [pong('ping payload')]);
add('2.10', 'ten pings', tenPings.map((data) => frame(PING, data)), tenPings.map(pong));
add('2.11', 'ten pings, byte by byte', tenPings.map((data) => frame(PING, data)), tenPings.map(pong), 'client', { chop: 1 });

// ---- 3: reserved bits -------------------------------------------------------------------------------------------------
const hello = 'Hello, world!';
const helloBytes = Buffer.from([0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff]);
add('3.1', 'RSV 1', [frame(TEXT, hello, { rsv: 1 })], [], [1002]);
[[2, {}], [3, { turns: true }], [4, { chop: 1 }]].forEach(([rsv, how], i) => {
  add(`3.${i + 2}`, `a text, then one with RSV ${rsv}, then a ping`, [frame(TEXT, hello), frame(TEXT, hello, { rsv }), frame(PING)], [text(hello)], [1002], how);
});
add('3.5', 'RSV 5 on bytes', [frame(BINARY, helloBytes, { rsv: 5 })], [], [1002]);
add('3.6', 'RSV 6 on a ping', [frame(PING, hello, { rsv: 6 })], [], [1002]);
add('3.7', 'RSV 7 on a Close', [frame(CLOSE, '', { rsv: 7 })], [], [1002]);

// ---- 4: opcodes -------------------------------------------------------------------------------------------------------
for (const [part, first] of [[1, 3], [2, 11]]) {
  add(`4.${part}.1`, `opcode ${first}`, [frame(first)], [], [1002]);
  add(`4.${part}.2`, `opcode ${first + 1} with payload`, [frame(first + 1, 'reserved opcode payload')], [], [1002]);
  add(`4.${part}.3`, `a text, opcode ${first + 2}, a ping`, [frame(TEXT, hello), frame(first + 2), frame(PING)], [text(hello)], [1002]);
  add(`4.${part}.4`, `a text, opcode ${first + 3} with payload, a ping`, [frame(TEXT, hello), frame(first + 3, hello), frame(PING)], [text(hello)], [1002]);
  add(`4.${part}.5`, `the same with opcode ${first + 4}, byte by byte`, [frame(TEXT, hello), frame(first + 4, hello), frame(PING)], [text(hello)], [1002], { chop: 1 });
}

// ---- 5: fragments -----------------------------------------------------------------------------------------------------
const begin = (data) => frame(TEXT, data, { fin: false });
const more = (data) => frame(0, data, { fin: false });
const last = (data) => frame(0, data);
const ways = [['', {}], [', each in a turn of its own', { turns: true }], [', byte by byte', { chop: 1 }]];
add('5.1', 'a ping in two fragments', [frame(PING, 'fragment1', { fin: false }), last('fragment2')], [], [1002]);
add('5.2', 'a pong in two fragments', [frame(PONG, 'fragment1', { fin: false }), last('fragment2')], [], [1002]);
ways.forEach(([how, options], i) => add(`5.${3 + i}`, `a text in two fragments${how}`, [begin('fragment1'), last('fragment2')], [text('fragment1fragment2')], 'client', options));
ways.forEach(([how, options], i) =>
  add(`5.${6 + i}`, `a ping between two fragments${how}`, [begin('fragment1'), frame(PING, 'ping payload'), last('fragment2')], [pong('ping payload'), text('fragment1fragment2')], 'client', options),
);
ways.forEach(([how, options], i) => add(`5.${9 + i}`, `a continuation of nothing${how}`, [last('non-continuation payload'), frame(TEXT, hello)], [], [1002], options));
ways.forEach(([how, options], i) => add(`5.${12 + i}`, `a continuation of nothing, unfinished${how}`, [more('non-continuation payload'), frame(TEXT, hello)], [], [1002], options));
add('5.15', 'a whole message, then a continuation of nothing', [begin('fragment1'), last('fragment2'), more('fragment3'), frame(TEXT, 'fragment4')], [text('fragment1fragment2')], [1002]);
const twice = (first) => [...first, ...first];
add('5.16', 'continuation, text, continuation, twice', twice([more('fragment1'), begin('fragment2'), last('fragment3')]), [], [1002]);
add('5.17', 'the same, the first one final', twice([last('fragment1'), begin('fragment2'), last('fragment3')]), [], [1002]);
add('5.18', 'a new text inside another', [begin('fragment1'), frame(TEXT, 'fragment2')], [], [1002]);
const slowly = [begin('fragment1'), more('fragment2'), frame(PING, 'pongme 1!'), { pause: 300 }, more('fragment3'), more('fragment4'), frame(PING, 'pongme 2!'), last('fragment5')];
const slowlyHeard = [pong('pongme 1!'), pong('pongme 2!'), text('fragment1fragment2fragment3fragment4fragment5')];
add('5.19', 'five fragments with pings and a pause', slowly, slowlyHeard);
add('5.20', 'the same, each frame in a turn of its own', slowly, slowlyHeard, 'client', { turns: true });

// ---- 6: UTF-8 ---------------------------------------------------------------------------------------------------------
const umlauts = Buffer.from('Hello-µ@ßöäüàá-UTF-8!!');
const kosme = Buffer.from('κόσμε'); // with U+1F79: 11 bytes
const greek = Buffer.from('cebae1bdb9cf83cebcceb5', 'hex');
const edited = Buffer.from('edited');
const brokenLate = Buffer.concat([greek, Buffer.from('eda080', 'hex'), edited]);
const tooHigh = Buffer.concat([greek, Buffer.from('f4908080', 'hex'), edited]);
add('6.1.1', 'an empty text', [frame(TEXT)], [text('')]);
add('6.1.2', 'three empty fragments', [begin(''), more(''), last('')], [text('')]);
add('6.1.3', 'empty fragments around one', [begin(''), more('middle frame payload'), last('')], [text('middle frame payload')]);
add('6.2.1', 'umlauts', [frame(TEXT, umlauts)], [text(umlauts)]);
add('6.2.2', 'umlauts in two fragments', [begin(umlauts.subarray(0, 14)), last(umlauts.subarray(14))], [text(umlauts)]);
add('6.2.3', 'umlauts, fragments of one byte', fragments(TEXT, umlauts, 1), [text(umlauts)]);
add('6.2.4', 'Greek, fragments of one byte', fragments(TEXT, greek, 1), [text(greek)]);
add('6.3.1', 'wrong at the twelfth byte', [frame(TEXT, brokenLate)], [], [1007]);
add('6.3.2', 'the same, fragments of one byte', fragments(TEXT, brokenLate, 1), [], [1007]);
// The connection fails at the wrong byte, not at the end of the message: what is behind `stop` is not sent any more.
const early = (id, title, send) => add(id, title, send, [], [1007], { early: true });
early('6.4.1', 'fails at the wrong fragment', [begin(greek), { pause: 100 }, more(Buffer.from('f4908080', 'hex'))]);
early('6.4.2', 'fails at the wrong byte in a fragment', [begin(tooHigh.subarray(0, 12)), { pause: 100 }, more(tooHigh.subarray(12, 13))]);
const wholeFrame = frame(TEXT, tooHigh);
early('6.4.3', 'fails at the wrong bytes inside of a frame', [{ bytes: wholeFrame.subarray(0, 6 + 11) }, { pause: 100 }, { bytes: wholeFrame.subarray(6 + 11, 6 + 15) }]);
early('6.4.4', 'fails at the wrong byte inside of a frame', [{ bytes: wholeFrame.subarray(0, 6 + 12) }, { pause: 100 }, { bytes: wholeFrame.subarray(6 + 12, 6 + 13) }]);

const hex = (line) => line.trim().split(/\s+/).map((one) => Buffer.from(one, 'hex'));
const spaced = (from, to) => Buffer.concat(Array.from({ length: to - from }, (_, i) => Buffer.from([from + i, 0x20])));
const incomplete = hex('c0 e080 f08080 f8808080 fc80808080 df efbf f7bfbf fbbfbfbf fdbfbfbfbf');
const nonCharacters = [];
for (const first of [0xf0, 0xf1, 0xf2, 0xf3, 0xf4]) {
  for (const second of [0x8f, 0x9f, 0xaf, 0xbf]) {
    if ((first === 0xf4 && second !== 0x8f) || (first === 0xf0 && second === 0x8f)) continue; // too high; overlong
    for (const end of [0xbe, 0xbf]) nonCharacters.push(Buffer.from([first, second, 0xbf, end]));
  }
}
const utf8 = {
  6.5: ['some right sequences', [...hex('68656c6c6f24776f726c64 68656c6c6fc2a2776f726c64 68656c6c6fe282ac776f726c64 68656c6c6ff0a4ada2776f726c64'), greek]],
  6.6: ['all beginnings of a text', Array.from({ length: greek.length }, (_, i) => greek.subarray(0, i + 1))],
  6.7: ['the first of each length', hex('00 c280 e0a080 f0908080')],
  6.8: ['the first of five and six bytes', hex('f888808080 fc8480808080')],
  6.9: ['the last of each length', hex('7f dfbf efbfbf f48fbfbf')],
  '6.10': ['the last of what is too high', hex('f7bfbfbf fbbfbfbfbf fdbfbfbfbfbf')],
  6.11: ['other limits', hex('ed9fbf ee8080 efbfbd f48fbfbf f4908080')],
  6.12: ['continuations that continue nothing', [...hex('80 bf 80bf 80bf80 80bf80bf 80bf80bf80 80bf80bf80bf'), Buffer.from(Array.from({ length: 63 }, (_, i) => 0x80 + i))]],
  6.13: ['beginnings that are not continued', [spaced(0xc0, 0xdf), spaced(0xe0, 0xef), spaced(0xf0, 0xf7), spaced(0xf8, 0xfb), spaced(0xfc, 0xfd)]],
  6.14: ['the last byte is missing', incomplete],
  6.15: ['all of these together', [Buffer.concat(incomplete)]],
  6.16: ['impossible bytes', hex('fe ff fefeffff')],
  6.17: ['overlong slashes', hex('c0af e080af f08080af f8808080af fc80808080af')],
  6.18: ['the longest overlong ones', hex('c1bf e09fbf f08fbfbf f887bfbfbf fc83bfbfbfbf')],
  6.19: ['overlong NULs', hex('c080 e08080 f0808080 f880808080 fc8080808080')],
  '6.20': ['surrogates', hex('eda080 edadbf edae80 edafbf edb080 edbe80 edbfbf')],
  6.21: ['pairs of surrogates', hex('eda080edb080 eda080edbfbf edadbfedb080 edadbfedbfbf edae80edb080 edae80edbfbf edafbfedb080 edafbfedbfbf')],
  6.22: ['non-characters, which are right', [...hex('efbfbe efbfbf'), ...nonCharacters]],
  6.23: ['specials', hex('efbfb9 efbfba efbfbb efbfbc efbfbd efbfbe efbfbf')],
};
const oracle = new TextDecoder('utf-8', { fatal: true });
const isText = (bytes) => {
  try {
    oracle.decode(bytes);
    return true;
  } catch {
    return false;
  }
};
for (const [section, [title, sequences]] of Object.entries(utf8)) {
  sequences.forEach((bytes, i) => {
    const right = isText(bytes);
    add(`${section}.${i + 1}`, `${title}: ${bytes.toString('hex').slice(0, 40)}`, [frame(TEXT, bytes)], right ? [text(bytes)] : [], right ? 'client' : [1007]);
  });
}

// ---- 7: closing -------------------------------------------------------------------------------------------------------
const closing = (id, title, send, answer, hears = [], how = {}) => add(id, title, send, hears, { answer }, how);
add('7.1.1', 'a text, then a Close', [frame(TEXT, 'Hello World!')], [text('Hello World!')]);
closing('7.1.2', 'two Closes', [closeFrame(1000), frame(CLOSE)], [1000]);
closing('7.1.3', 'a ping after the Close', [closeFrame(1000), frame(PING)], [1000]);
closing('7.1.4', 'a text after the Close', [closeFrame(1000), frame(TEXT, 'Hello World!')], [1000]);
closing('7.1.5', 'a Close inside of a message', [begin('fragment1'), closeFrame(1000), last('fragment2')], [1000]);
const large = repeated('BAsd7&jh23', 256 * 1024);
closing('7.1.6', 'a large text, a small one, a Close, a ping', [frame(TEXT, large), frame(TEXT, 'Hello World!'), closeFrame(1000), frame(PING)], [1000], [text(large), text('Hello World!')]);
closing('7.3.1', 'a Close without a code', [frame(CLOSE)], [undefined, 1000]);
closing('7.3.2', 'a Close with half a code', [frame(CLOSE, 'a')], [1002]);
closing('7.3.3', 'a Close with a code', [closeFrame(1000)], [1000]);
closing('7.3.4', 'a Close with a reason', [closeFrame(1000, 'Hello World!')], [1000]);
closing('7.3.5', 'a Close with a reason of 123 bytes', [closeFrame(1000, '*'.repeat(123))], [1000]);
closing('7.3.6', 'a Close with a reason of 124 bytes', [closeFrame(1000, '*'.repeat(124))], [1002]);
closing('7.5.1', 'a Close with a reason that is not UTF-8', [closeFrame(1000, brokenLate)], [1007]);
[1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999].forEach((code, i) => closing(`7.7.${i + 1}`, `code ${code}`, [closeFrame(code)], [code]));
[0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999].forEach((code, i) => closing(`7.9.${i + 1}`, `code ${code}`, [closeFrame(code)], [1002]));
closing('7.13.1', 'code 5000', [closeFrame(5000)], [1002], [], { informational: true });
closing('7.13.2', 'code 65535', [closeFrame(65535)], [1002], [], { informational: true });

// ---- 9: much ----------------------------------------------------------------------------------------------------------
const KB = 1024;
const MB = 1024 * KB;
const kinds = [[TEXT, text, Buffer.from('BAsd7&jh23')], [BINARY, binary, Buffer.from([0x00, 0xfe, 0x23, 0xfa, 0xf0])]];
kinds.forEach(([opcode, told, piece], k) => {
  [64 * KB, 256 * KB, MB, 4 * MB, 8 * MB, 16 * MB].forEach((length, i) => {
    add(`9.${k + 1}.${i + 1}`, `${length / KB} KB`, () => [frame(opcode, repeated(piece, length))], () => [told(repeated(piece, length))], 'client', { heavy: true });
  });
  [64, 256, KB, 4 * KB, 16 * KB, 64 * KB, 256 * KB, MB, 4 * MB].forEach((size, i) => {
    add(`9.${k + 3}.${i + 1}`, `4 MB in fragments of ${size}`, () => [Buffer.concat(fragments(opcode, repeated('*', 4 * MB), size))], () => [told(repeated('*', 4 * MB))], 'client', { heavy: true });
  });
  [64, 128, 256, 512, KB, 2 * KB].forEach((chop, i) => {
    add(`9.${k + 5}.${i + 1}`, `1 MB, ${chop} bytes at a time`, () => [frame(opcode, repeated(piece, MB))], () => [told(repeated(piece, MB))], 'client', { heavy: true, chop });
  });
  [0, 16, 64, 256, KB, 4 * KB].forEach((length, i) => {
    add(`9.${k + 7}.${i + 1}`, `1000 messages of ${length} bytes, one after the other`, [], [], 'client', { heavy: true, rounds: { opcode, payload: repeated('*', length), count: 1000 } });
  });
});

// ---- 10: fragments of a client that makes them by itself ------------------------------------------------------------------
add('10.1.1', '64 KB in fragments of 1300', fragments(TEXT, repeated('*', 64 * KB), 1300), [text(repeated('*', 64 * KB))]);

// ---- beyond the list --------------------------------------------------------------------------------------------------
export const ours = [];
const own = (title, send, hears, closes, how = {}) => ours.push({ id: `x.${ours.length + 1}`, title, send, hears, closes, ...how });
own('a frame without a mask', [frame(TEXT, hello, { masked: false })], [], [1002]);
own('an empty frame without a mask', [frame(TEXT, '', { masked: false })], [], [1002]);
own('a length in more bytes than it needs: 2', [frame(TEXT, hello, { size: 2 })], [], [1002]);
own('a length in more bytes than it needs: 8', [frame(TEXT, hello, { size: 8 })], [], [1002]);
own('a length above 2^63', [Buffer.concat([Buffer.from([0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Buffer.alloc(8)])], [], [1002]);
own('a length that nobody could send', [Buffer.concat([Buffer.from([0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Buffer.alloc(8)])], [], [1009]);
own('one byte above the limit, declared', [frame(BINARY, 'x'.repeat(1025))], [], [1009], { path: '/small' });
own('at the limit', [frame(BINARY, 'x'.repeat(1024))], [binary('x'.repeat(1024))], 'client', { path: '/small' });
own('above the limit in fragments', fragments(TEXT, 'x'.repeat(1025), 100), [], [1009], { path: '/small' });
own('above the limit by an empty declaration first', [begin(''), more('x'.repeat(1024)), last('y')], [], [1009], { path: '/small' });
own('a text, then one that is too large', [frame(TEXT, hello), frame(TEXT, 'x'.repeat(2000))], [text(hello)], [1009], { path: '/small' });
own('half a frame, then a ping in the middle of it', [{ bytes: frame(TEXT, hello).subarray(0, 9) }, frame(PING, 'x')], [], [1007, 1002], { informational: true });
own('code 1012', [closeFrame(1012)], [], { answer: [1012] });
own('code 1015', [closeFrame(1015)], [], { answer: [1002] });
own('a character in two frames with a ping between', [begin(greek.subarray(0, 1)), frame(PING), last(greek.subarray(1))], [pong(), text(greek)], 'client');
own('a character that a fragment ends in', [begin(greek.subarray(0, 1)), frame(0, '')], [], [1007]);
own('a hundred small messages in one write', [Buffer.concat(Array.from({ length: 100 }, (_, i) => frame(TEXT, `${i}`)))], Array.from({ length: 100 }, (_, i) => text(`${i}`)), 'client');
own('kosme', [frame(TEXT, kosme)], [text(kosme)], 'client');

export { cases };
