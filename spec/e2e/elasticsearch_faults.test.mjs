// plugins/elasticsearch against a service that misbehaves. What real ones do: spec/services/elasticsearch.test.mjs.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { startClients } from '../support/clients.mjs';
import { startService } from './support/upstreams.mjs';

const ELASTIC_8 = { cluster_name: 'loopback', version: { number: '8.11.0', build_flavor: 'default' }, tagline: 'You Know, for Search' };
const PAGE = { took: 1, timed_out: false, _shards: { failed: 0 }, hits: { total: { value: 0, relation: 'eq' }, hits: [] } };
const MB = 1024 * 1024;

function reply(answer, status, value, headers = {}) {
  answer.writeHead(status, { 'Content-Type': 'application/json', 'X-Elastic-Product': 'Elasticsearch', ...headers });
  answer.end(typeof value === 'string' ? value : JSON.stringify(value));
}

/** A service that is `info`, and answers everything else by `handler(request, answer, body, count)`; and the application that asks it. */
async function withService(handler, body, { info = ELASTIC_8, settings = {} } = {}) {
  const asked = [];
  const service = await startService((request, answer) => {
    let text = '';
    request.setEncoding('utf8').on('data', (part) => (text += part));
    request.on('end', () => {
      if (request.url === '/') {
        asked.root = (asked.root ?? 0) + 1;
        asked.authorization = request.headers.authorization;
        return reply(answer, 200, info);
      }
      asked.push({ method: request.method, url: request.url, body: text, type: request.headers['content-type'] });
      return handler(request, answer, text, asked.length);
    });
  });
  const app = await startClients({ 'search.url': service.url, 'search.retry_base': '10ms', ...settings });
  try {
    await body(app, asked);
    await app.settled();
  } finally {
    await app.stop();
    await service.close();
  }
}

const ok = (_request, answer) => reply(answer, 200, PAGE);
const find = { index: 'records', query: { match_all: {} } };

test('Elasticsearch 7, 8 and 9 and OpenSearch are taken, and asked for their version once', async () => {
  for (const version of [{ number: '7.10.2' }, { number: '8.11.0' }, { number: '9.0.0' }, { number: '1.3.0', distribution: 'opensearch' }]) {
    await withService(ok, async (app, asked) => {
      for (let i = 0; i < 3; ++i) assert.equal((await app.call('search', find)).problem, undefined);
      assert.deepEqual([asked.root, asked.length], [1, 3]);
    }, { info: { version } });
  }
});

test('version 6 is refused, and so is what is something else; neither is asked any further', async () => {
  await withService(ok, async (app, asked) => {
    const { problem } = await app.call('search', find);
    assert.deepEqual([problem.kind, problem.retryable], ['version', false]);
    assert.match(problem.message, /6\.8\.23 is too old/);
    assert.equal(asked.length, 0);
  }, { info: { version: { number: '6.8.23' } } });
  for (const [info, kind] of [[{ version: { number: '3.1', distribution: 'solr' } }, 'product'], [{ hello: 1 }, 'product'], ['<html>', 'protocol']]) {
    await withService(ok, async (app, asked) => {
      assert.equal((await app.call('search', find)).problem.kind, kind);
      assert.equal(asked.length, 0);
    }, { info });
  }
});

test('basic and API-key authorization reach the service', async () => {
  const basic = { 'search.auth': 'basic', 'search.user': 'coach', 'search.token': 'sesame' };
  await withService(ok, async (app, asked) => {
    await app.call('search', find);
    assert.equal(asked.authorization, 'Basic ' + Buffer.from('coach:sesame').toString('base64'));
    assert.ok(!app.log().includes('sesame'));
  }, { settings: basic });
  await withService(ok, async (app, asked) => {
    await app.call('search', find);
    assert.equal(asked.authorization, 'ApiKey c2VzYW1l');
  }, { settings: { 'search.auth': 'header', 'search.auth_scheme': 'ApiKey', 'search.token': 'c2VzYW1l' } });
});

test('401 says that the door is closed, once', async () => {
  const body = { error: { type: 'security_exception', reason: 'missing authentication credentials' }, status: 401 };
  await withService((_request, answer) => reply(answer, 401, body), async (app, asked) => {
    const { problem } = await app.call('search', find);
    assert.deepEqual([problem.kind, problem.type, asked.length], ['denied', 'security_exception', 1]);
  });
});

test('429 is tried again when the service says so', async () => {
  const started = Date.now();
  await withService((_request, answer, _body, count) => (count === 1 ? reply(answer, 429, {}, { 'Retry-After': '1' }) : ok(null, answer)),
    async (app, asked) => {
      assert.equal((await app.call('search', find)).problem, undefined);
      assert.equal(asked.length, 2);
      assert.ok(Date.now() - started >= 1000);
    });
});

test('429 and 503 without end: few requests, and an error that says what to do', async () => {
  for (const [status, kind] of [[429, 'overloaded'], [503, 'unavailable']]) {
    await withService((_request, answer) => reply(answer, status, { error: { type: 'es_rejected_execution_exception', reason: 'queue' } }, { 'Retry-After': '0' }),
      async (app, asked) => {
        const { problem } = await app.call('search', find);
        assert.deepEqual([problem.kind, problem.status, problem.retryable, problem.retry_after], [kind, status, true, 0]);
        assert.ok(asked.length <= 3, String(asked.length));
      });
  }
});

test('a missing index is not asked for twice', async () => {
  const error = { type: 'index_not_found_exception', reason: 'no such index [records]', index: 'records' };
  await withService((_request, answer) => reply(answer, 404, { error: { ...error, root_cause: [error] }, status: 404 }), async (app, asked) => {
    const { problem } = await app.call('search', find);
    assert.deepEqual([problem.kind, problem.attempts, asked.length], ['index_missing', 1, 1]);
  });
});

test('an error of a megabyte leaves at most 4 KB, and is still understood', async () => {
  const error = { root_cause: [{ type: 'query_shard_exception', reason: 'why' }], stack_trace: 'x'.repeat(MB) };
  await withService((_request, answer) => reply(answer, 400, { error }), async (app) => {
    const { problem } = await app.call('search', find);
    assert.deepEqual([problem.kind, problem.type, problem.reason], ['invalid', 'query_shard_exception', 'why']);
    assert.ok(problem.excerpt.length <= 4096);
  });
});

test('an answer of 137 MB is refused, and never held', async () => {
  const chunk = Buffer.alloc(MB, ' ');
  await withService((_request, answer) => {
    answer.writeHead(200, { 'Content-Type': 'application/json' });
    let left = 137;
    const more = () => {
      while (left-- > 0 && !answer.destroyed) if (!answer.write(chunk)) return;
      answer.end();
    };
    answer.on('drain', more);
    more();
  }, async (app, asked) => {
    const { problem } = await app.call('search', find);
    assert.equal(problem.kind, 'too_large');
    const { byKind } = await app.ledger();
    assert.ok(byKind.transfer.peakBytes < 10 * MB, String(byKind.transfer.peakBytes));
    assert.equal(asked.length, 1);
  });
});

test('answers that are cut, that are garbage, or that do not come', async () => {
  await withService((_request, answer) => {
    answer.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': '1000' });
    answer.write('{"took":1,');
    setImmediate(() => answer.destroy());
  }, async (app, asked) => {
    assert.equal((await app.call('search', find)).problem.kind, 'cut');
    assert.ok(asked.length <= 3);
  });
  await withService((_request, answer) => reply(answer, 200, '{"took":1,'), async (app) => {
    assert.equal((await app.call('search', find)).problem.kind, 'protocol');
  });
  await withService((_request, answer) => reply(answer, 200, '[[[[1'), async (app) => {
    assert.equal((await app.call('search', find)).problem.kind, 'protocol');
  });
  await withService(() => {}, async (app, asked) => {
    const { problem } = await app.call('search', { ...find, timeout: '300ms' });
    assert.equal(problem.kind, 'timeout');
    assert.equal(asked.length, 1);
  });
});

// ---- bulk ----

const ids = (body) => body.trim().split('\n').map((line) => JSON.parse(line).index?._id).filter(Boolean);
const items = (list, status) => ({ took: 1, items: list.map((id) => ({ index: { _id: id, status: status(id) } })) });

test('items that the service had no room for are sent again, they alone', async () => {
  const refused = new Set(['id-3', 'id-7']);
  await withService((_request, answer, body, count) => reply(answer, 200, items(ids(body), (id) => (count === 1 && refused.has(id) ? 429 : 201))),
    async (app, asked) => {
      const { result } = await app.post('/bulk', { count: 10, options: { index: 'records' } });
      assert.deepEqual([result.sent, result.done, result.failed_count, result.requests], [10, 10, 0, 2]);
      assert.deepEqual(ids(asked[1].body), ['id-3', 'id-7']);
      assert.equal(asked[0].type, 'application/x-ndjson');
      assert.ok(asked[0].body.endsWith('\n'));
    });
});

test('items that never find room are told, as ones that may be tried later', async () => {
  await withService((_request, answer, body) => reply(answer, 200, items(ids(body), (id) => (id === 'id-2' ? 429 : 200))), async (app, asked) => {
    const { result } = await app.post('/bulk', { count: 3, options: { index: 'records', retries: 2 } });
    assert.deepEqual([result.done, result.failed_count, asked.length], [2, 1, 3]);
    assert.deepEqual([result.failed[0].id, result.failed[0].kind, result.failed[0].retryable], ['id-2', 'overloaded', true]);
  });
});

test('many failures: all are counted, some are told', async () => {
  await withService((_request, answer, body) => reply(answer, 200, items(ids(body), () => 400)), async (app) => {
    const { result } = await app.post('/bulk', { count: 500, options: { index: 'records', failures: 20 } });
    assert.deepEqual([result.done, result.failed_count, result.failed.length], [0, 500, 20]);
  });
});

test('an answer that does not tell of each item is none', async () => {
  await withService((_request, answer) => reply(answer, 200, items(['id-1'], () => 200)), async (app) => {
    assert.equal((await app.post('/bulk', { count: 3, options: { index: 'records' } })).problem.kind, 'protocol');
  });
});

test('a request that failed as a whole keeps its items: sent again, they are done', async () => {
  await withService((_request, answer, body, count) => (count <= 3 ? reply(answer, 503, {}) : reply(answer, 200, items(ids(body), () => 200))),
    async (app, asked) => {
      const { result } = await app.post('/bulk', { count: 5, again: true, options: { index: 'records' } });
      assert.deepEqual([result.done, result.failed_count, asked.length], [5, 0, 4]);
    });
});

test('what has no id is not sent twice', async () => {
  await withService((_request, answer) => answer.destroy(), async (app, asked) => {
    const { problem } = await app.post('/bulk', { count: 5, no_ids: true, options: { index: 'records' } });
    assert.ok(['cut', 'refused'].includes(problem.kind), problem.kind);
    assert.equal(asked.length, 1);
  }, { settings: { 'search.keepalive': 'false' } }); // libcurl repeats by itself what dies on a connection that was used before
});

// ---- scans ----

test('a scan that does not get on stops, and so does one without sort values', async () => {
  const hits = (sort) => ({ ...PAGE, hits: { hits: Array.from({ length: 10 }, (_, i) => ({ _id: String(i), _source: {}, sort })) } });
  const options = { index: 'records', sort: [{ year: 'asc' }], size: 10 };
  await withService((_request, answer) => reply(answer, 200, hits([1])), async (app, asked) => {
    const { result, problem } = await app.post('/scan', { options });
    assert.deepEqual([problem.kind, result.count, asked.length], ['protocol', 10, 2]);
  });
  await withService((_request, answer) => reply(answer, 200, hits(undefined)), async (app, asked) => {
    assert.deepEqual([(await app.post('/scan', { options })).problem.kind, asked.length], ['protocol', 1]);
  });
});

test('a scan holds one page at a time', async () => {
  const PAGES = 60;
  const text = 'x'.repeat(50_000);
  await withService((_request, answer, body) => {
    const from = JSON.parse(body).search_after?.[0] ?? 0;
    const left = Math.min(20, PAGES * 20 - from);
    const hits = Array.from({ length: left }, (_, i) => ({ _id: String(from + i), _source: { text }, sort: [from + i + 1] }));
    reply(answer, 200, { ...PAGE, hits: { hits } });
  }, async (app, asked) => {
    const { result, problem } = await app.post('/scan', { options: { index: 'records', sort: [{ n: 'asc' }], size: 20 } });
    assert.deepEqual([problem, result.count, asked.length], [undefined, PAGES * 20, PAGES + 1]);
    const { byKind } = await app.ledger(); // 60 MB have come, a megabyte at a time
    for (const kind of ['transfer', 'request']) assert.ok(byKind[kind].peakBytes < 4 * MB, `${kind} ${byKind[kind].peakBytes}`);
  });
});
