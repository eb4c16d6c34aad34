// plugins/graphql against graphql-js with the Arweave gateway's schema, and against services that misbehave.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';

import { startClients } from '../support/clients.mjs';
import { startService } from './support/upstreams.mjs';

const { gateway, handlerFor } = await import('./support/gateway.mjs').catch(() => ({}));
const skip = gateway ? false : 'the npm packages graphql and graphql-http are not installed';
const MB = 1024 * 1024;

const TRANSACTIONS = `query($tags: [TagFilter!], $block: BlockFilter, $first: Int, $after: String, $ids: [ID!]) {
  transactions(tags: $tags, block: $block, first: $first, after: $after, ids: $ids, sort: HEIGHT_ASC) {
    pageInfo { hasNextPage }
    edges { cursor node { id owner { address } tags { name value } block { height timestamp } data { size type } bundledIn { id } } }
  }
}`;

async function withGateway(handler, body, settings = {}) {
  const asked = [];
  const service = await startService((request, answer) => {
    asked.push(request.url);
    return handler(request, answer, asked.length);
  });
  const app = await startClients({ 'chain.url': service.url + '/graphql', 'chain.retry_base': '10ms', ...settings });
  try {
    await body(app, asked);
    await app.settled();
  } finally {
    await app.stop();
    await service.close();
  }
}

const say = (value, status = 200, headers = {}) => (_request, answer) => {
  answer.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  answer.end(typeof value === 'string' ? value : JSON.stringify(value));
};

test('variables, and the data of the Arweave schema', { skip }, async () => {
  await withGateway(handlerFor(gateway(50)), async (app, asked) => {
    const variables = { tags: [{ name: 'Index-Method', values: ['OIP'] }, { name: 'Type', values: ['Record'], op: 'NEQ' }], block: { min: 1_000_004 }, first: 3 };
    const { result, problem } = await app.post('/query', { options: { query: TRANSACTIONS, variables } });
    assert.equal(problem, undefined);
    const { edges, pageInfo } = result.transactions;
    assert.deepEqual(edges.map((edge) => edge.node.id), ['tx-13', 'tx-15', 'tx-17']);
    assert.equal(pageInfo.hasNextPage, true);
    assert.deepEqual(edges[0].node.block, { height: 1_000_004, timestamp: 1_700_000_013 });
    assert.deepEqual(edges[0].node.data, { size: '1013', type: 'application/json' });
    assert.deepEqual(asked, ['/graphql']);
  });
});

test('errors without data, and partial data with errors, are told apart', { skip }, async () => {
  await withGateway(handlerFor(gateway(10)), async (app, asked) => {
    const wrong = await app.post('/query', { options: { query: '{ nonsense }' } });
    assert.equal(wrong.result, undefined);
    assert.equal(wrong.problem.kind, 'graphql');
    assert.match(wrong.problem.errors[0].message, /Cannot query field "nonsense"/);
    assert.equal(asked.length, 1);
    const partial = await app.post('/query', { options: { query: '{ good: transaction(id: "tx-2") { quota } bad: transaction(id: "tx-3") { id quota } }' } });
    assert.deepEqual(partial.result.good, { quota: 2 });
    assert.equal(partial.result.bad.id, 'tx-3');
    assert.equal(partial.problem.kind, 'partial');
    assert.deepEqual(partial.problem.errors, [{ message: 'the quota of tx-3 is unknown', code: 'UNAVAILABLE', path: ['bad', 'quota'] }]);
  });
});

test('a connection is read to its end, page by page', { skip }, async () => {
  await withGateway(handlerFor(gateway(950)), async (app, asked) => {
    const options = { query: TRANSACTIONS, at: 'transactions', variables: { first: 100 } };
    const all = await app.post('/pages', { options });
    assert.equal(all.problem, undefined);
    assert.deepEqual([all.result.count, all.result.distinct, all.result.first, all.result.last, asked.length], [950, 950, 'tx-0', 'tx-949', 10]);
    const some = await app.post('/pages', { options: { ...options, most: 150 } });
    assert.deepEqual([some.result.count, some.result.cursor, asked.length], [150, 'cursor-149', 12]);
    const rest = await app.post('/pages', { options: { ...options, variables: { first: 100, after: some.result.cursor } } });
    assert.deepEqual([rest.result.count, rest.result.first], [800, 'tx-150']);
    const none = await app.post('/pages', { options: { ...options, variables: { ids: ['nothing'] } } });
    assert.deepEqual([none.result.count, none.problem], [0, undefined]);
  });
});

test('one page at a time: 40 MB in pages of 1 MB', { skip }, async () => {
  await withGateway(handlerFor(gateway(1000, 20_000)), async (app, asked) => {
    const { result, problem } = await app.post('/pages', { options: { query: TRANSACTIONS, at: 'transactions', variables: { first: 25 } } });
    assert.deepEqual([result.count, problem, asked.length], [1000, undefined, 40]);
    const { byKind } = await app.ledger();
    for (const kind of ['transfer', 'request']) assert.ok(byKind[kind].peakBytes < 4 * MB, `${kind} ${byKind[kind].peakBytes}`);
  });
});

test('a page that fails stops the reading; asked again, it goes on there and repeats nothing', { skip }, async () => {
  const real = handlerFor(gateway(300));
  await withGateway((request, answer, count) => (count === 2 ? say({ errors: [{ message: 'overloaded' }], data: null })(request, answer) : real(request, answer)),
    async (app) => {
      const options = { query: TRANSACTIONS, at: 'transactions', variables: { first: 100 } };
      const once = await app.post('/pages', { options, rounds: 2 });
      assert.deepEqual([once.result.count, once.result.distinct, once.problem], [300, 300, undefined]);
    });
});

test('a service that says there is more, and no way to it, is asked no further', async () => {
  const page = (cursor, edges) => say({ data: { transactions: { pageInfo: { hasNextPage: true }, edges: edges ?? [{ cursor, node: { id: 'x' } }] } } });
  const options = { query: '{ transactions { x } }', at: 'transactions' };
  for (const [handler, most] of [[page('same'), 2], [page(null, []), 1], [page(undefined), 1], [say({ data: { other: 1 } }), 1]]) {
    await withGateway(handler, async (app, asked) => {
      assert.equal((await app.post('/pages', { options })).problem.kind, 'protocol');
      assert.equal(asked.length, most);
    });
  }
});

test('persisted queries: the text is sent once, then only its hash', { skip }, async () => {
  const known = new Map(), bodies = [];
  const handler = handlerFor(gateway(5), known);
  await withGateway((request, answer) => {
    let text = '';
    request.on('data', (part) => (text += part));
    request.on('end', () => bodies.push(JSON.parse(text)));
    return handler(request, answer);
  }, async (app) => {
    const query = '{ transaction(id: "tx-1") { id } }';
    for (let i = 0; i < 3; ++i) {
      const { result, problem } = await app.post('/query', { persisted: true, options: { query } });
      assert.equal(problem, undefined);
      assert.equal(result.transaction.id, 'tx-1');
    }
    assert.deepEqual(bodies.map((body) => body.query !== undefined), [false, true, false, false]);
    assert.equal(bodies[0].extensions.persistedQuery.sha256Hash, createHash('sha256').update(query).digest('hex'));
  });
});

test('a mutation is sent once, a query again', async () => {
  await withGateway(say({}, 503), async (app, asked) => {
    const mutation = await app.post('/query', { options: { query: 'mutation { forget(id: "1") }' } });
    assert.deepEqual([mutation.problem.kind, mutation.problem.status, asked.length], ['status', 503, 1]);
    const query = await app.post('/query', { options: { query: '{ transaction(id: "1") { id } }' } });
    assert.deepEqual([query.problem.retryable, asked.length], [true, 4]);
  });
});

test('answers that are none: HTML, garbage, empty, an error of a megabyte, 137 MB', async () => {
  const query = { options: { query: '{ x }' } };
  for (const [handler, kind] of [[say('<html>', 404), 'status'], [say('{"data":'), 'protocol'], [say({ data: null }), 'protocol'],
    [say('{"hello":1}'), 'protocol'], [say('x'.repeat(MB), 500), 'status']]) {
    await withGateway(handler, async (app, asked) => {
      const { problem, result } = await app.post('/query', query);
      assert.deepEqual([problem.kind, result, asked.length], [kind, undefined, 1]);
      assert.ok((problem.excerpt ?? '').length <= 4096);
    });
  }
  const chunk = Buffer.alloc(MB, ' ');
  await withGateway((_request, answer) => {
    answer.writeHead(200);
    let left = 137;
    const more = () => {
      while (left-- > 0 && !answer.destroyed) if (!answer.write(chunk)) return;
      answer.end();
    };
    answer.on('drain', more);
    more();
  }, async (app) => {
    assert.equal((await app.post('/query', query)).problem.kind, 'too_large');
    assert.ok((await app.ledger()).byKind.transfer.peakBytes < 6 * MB);
  });
});
