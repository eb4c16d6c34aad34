// plugins/elasticsearch against real nodes: OpenSearch 2 and Elasticsearch 7.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { startServer } from '../e2e/support/server.mjs';
import { startClients } from '../support/clients.mjs';
import { CannotRun, startSearchNode } from './support/search_node.mjs';

const MAPPING = {
  settings: { number_of_shards: 1, number_of_replicas: 0 },
  mappings: { properties: { name: { type: 'text' }, year: { type: 'integer' }, tag: { type: 'keyword' }, text: { type: 'text', index: false }, big: { type: 'long' } } },
};

for (const product of ['opensearch', 'elasticsearch']) {
  describe(product, () => {
    let node, app, reason;
    const on = (name, body) => test(name, { timeout: 60_000 }, async (t) => (reason ? t.skip(reason) : body(t)));

    before(async () => {
      try {
        node = await startSearchNode(product);
      } catch (error) {
        if (!(error instanceof CannotRun)) throw error;
        reason = error.message;
        return;
      }
      app = await startClients({ 'search.url': node.url });
    }, { timeout: 280_000 });
    after(async () => {
      await app?.stop();
      await node?.stop();
    });
    afterEach(async () => app && app.settled());

    on('says what it is', async () => {
      const { result } = await app.call('version');
      assert.equal(result.distribution, product);
      assert.match(result.number, product === 'opensearch' ? /^2\./ : /^7\./);
    });

    on('indices are made, found and made only once', async () => {
      assert.deepEqual(await app.call('index_exists', 'records'), { result: false });
      assert.equal((await app.call('create_index', 'records', MAPPING)).result, true);
      const again = await app.call('create_index', 'records', MAPPING);
      assert.equal(again.problem.kind, 'exists');
      assert.deepEqual(await app.call('ensure_index', 'records', MAPPING), { result: true, more: false });
      assert.equal((await app.call('index_exists', 'records')).result, true);
    });

    on('a missing index is a clear error, of one attempt', async () => {
      const { problem } = await app.call('search', { index: 'nowhere', query: { match_all: {} } });
      assert.equal(problem.kind, 'index_missing');
      assert.equal(problem.status, 404);
      assert.equal(problem.attempts, 1);
      assert.equal(problem.retryable, false);
      assert.match(problem.message, /index_not_found_exception: no such index \[nowhere\]/);
      assert.ok(problem.excerpt.length <= 4096);
    });

    on('documents are written, read, changed and deleted', async () => {
      const id = 'a/b ?ü'; // percent-encoded on its way
      const written = await app.call('index', { index: 'records', id, document: { name: 'Plank', year: 1 }, refresh: 'wait_for' });
      assert.equal(written.result.result, 'created');
      const clash = await app.call('index', { index: 'records', id, create: true, document: { name: 'Plank' } });
      assert.equal(clash.problem.kind, 'conflict');
      assert.equal((await app.call('update', { index: 'records', id, doc: { year: 2 }, refresh: true })).result.result, 'updated');
      const read = await app.call('get', { index: 'records', id, source: ['year'] });
      assert.deepEqual(read.result.source, { year: 2 });
      const stale = await app.call('delete', { index: 'records', id, if_seq_no: 999, if_primary_term: 1 });
      assert.equal(stale.problem.kind, 'conflict');
      assert.equal((await app.call('delete', { index: 'records', id, refresh: true })).result.result, 'deleted');
      const gone = await app.call('get', { index: 'records', id });
      assert.equal(gone.problem.kind, 'not_found');
    });

    on('one poison item of 1,000: the others are done, and it is named', async () => {
      const { result, problem } = await app.post('/bulk', { count: 1000, poison: 500, options: { index: 'records', refresh: true } });
      assert.equal(problem, undefined);
      assert.deepEqual([result.sent, result.done, result.failed_count, result.requests], [1000, 999, 1, 1]);
      const [failed] = result.failed;
      assert.deepEqual([failed.position, failed.id, failed.action, failed.kind, failed.retryable], [500, 'id-500', 'index', 'invalid', false]);
      assert.match(failed.reason, /failed to parse field \[year\]/);
      assert.equal((await app.call('count', 'records')).result, 999);
    });

    on('a bulk request that grows too long goes in parts', async () => {
      const { result } = await app.post('/bulk', { count: 300, text: 1000, options: { index: 'parts', max: 100_000, refresh: true } });
      assert.deepEqual([result.done, result.failed_count], [300, 0]);
      assert.ok(result.requests >= 3, String(result.requests));
      const gone = await app.post('/bulk', { count: 301, action: 'delete', options: { index: 'parts', most: 100 } });
      assert.deepEqual([gone.result.done, gone.result.failed_count], [301, 0]); // the last one was not there: that is what was wanted
    });

    on('search: total, order, source filters, pages by search_after', async () => {
      const sort = [{ year: 'asc' }];
      const first = (await app.call('search', { index: 'records', query: { term: { tag: 'even' } }, sort, size: 10, source: ['year'], total: true })).result;
      assert.deepEqual([first.total, first.total_is_exact, first.hits.length], [499, true, 10]);
      assert.deepEqual(first.hits[0].source, { year: 1002 });
      const second = (await app.call('search', { index: 'records', query: { term: { tag: 'even' } }, sort, size: 10, after: first.after, source: { excludes: ['text'] } })).result;
      assert.equal(second.hits[0].source.year, 1022);
      assert.deepEqual(Object.keys(second.hits[0].source).sort(), ['name', 'tag', 'year']);
      const without = (await app.call('search', { index: 'records', size: 1, source: false })).result;
      assert.equal(without.hits[0].source, undefined);
    });

    on('a query that is none is an error that says why', async () => {
      const { problem } = await app.call('search', { index: 'records', query: { no_such_query: {} } });
      assert.deepEqual([problem.kind, problem.status, problem.attempts], ['invalid', 400, 1]);
      assert.match(problem.message, /no_such_query/);
    });

    on('a scan reads all, page by page, with and without a snapshot', async () => {
      const options = { index: 'records', sort: [{ year: 'asc' }], size: 100, source: ['year', 'tag'] };
      const plain = await app.post('/scan', { options });
      assert.equal(plain.problem, undefined);
      assert.deepEqual([plain.result.count, plain.result.first, plain.result.last], [999, 'id-1', 'id-1000']);
      assert.deepEqual(plain.result.fields, { year: true, tag: true });
      const frozen = await app.post('/scan', { options: { ...options, snapshot: '1m' } });
      assert.deepEqual([frozen.result.count, frozen.result.last, frozen.problem], [999, 'id-1000', undefined]);
      const stopped = await app.post('/scan', { options: { ...options, snapshot: '1m' }, stop: 150 });
      assert.deepEqual([stopped.result.count, stopped.problem], [150, undefined]);
      const on = await app.post('/scan', { options: { ...options, after: stopped.result.after, most: 5 } });
      assert.deepEqual([on.result.count, on.result.first], [5, 'id-201']);
    });

    on('sort values beyond 14 digits come back as they were', async () => {
      for (let i = 1; i <= 4; ++i) {
        await app.call('index', { index: 'big', id: String(i), document: { big: 9007199254740000 + i, year: i }, refresh: true });
      }
      const { result } = await app.post('/scan', { options: { index: 'big', sort: [{ year: 'asc' }], size: 1 } });
      assert.equal(result.count, 4);
    });

    on('aggregations, counts and deleting by query', async () => {
      const { result } = await app.call('aggregate', { index: 'records', aggs: { tags: { terms: { field: 'tag' } }, latest: { max: { field: 'year' } } } });
      assert.deepEqual(result.tags.buckets.map((one) => [one.key, one.doc_count]), [['odd', 500], ['even', 499]]);
      assert.equal(result.latest.value, 2000);
      const deleted = await app.call('delete_by_query', { index: 'records', query: { term: { tag: 'odd' } }, refresh: true });
      assert.equal(deleted.result.deleted, 500);
      assert.equal((await app.call('count', 'records')).result, 499);
      assert.equal((await app.call('delete_index', 'records')).result, true);
    });

    on('the coach finds its records there', async () => {
      const set = (...settings) => startServer(...settings.flatMap((one) => ['--set', one]), '--set', 'tts=');
      const ask = async (server, query) => (await fetch(`${server.url}/api/records?${query}`)).json();
      const before = await set();
      const { records } = await ask(before, 'limit=100');
      await before.stop();
      const lines = records.flatMap((one) => [JSON.stringify({ index: { _index: 'exercises', _id: one.oip.did } }), JSON.stringify(one)]);
      const sent = await fetch(`${node.url}/_bulk?refresh=true`, { method: 'POST', headers: { 'Content-Type': 'application/x-ndjson' }, body: lines.join('\n') + '\n' });
      assert.equal((await sent.json()).errors, false);

      const coach = await set('records=elasticsearch', `upstreams.elasticsearch.url=${node.url}`, 'plugins.elasticsearch.index=exercises', 'plugins_enabled=');
      try {
        const all = await ask(coach, 'limit=100');
        assert.equal(all.searchResults, records.length);
        assert.deepEqual(all.records.find((one) => one.oip.did === 'did:local:plank'), records.find((one) => one.oip.did === 'did:local:plank'));
        const plank = await ask(coach, 'search=' + encodeURIComponent('How do I do a plnak?') + '&recordType=exercise&limit=3');
        assert.equal(plank.records[0].data.basic.name, 'Plank');
        assert.equal((await ask(coach, 'search=zzzzzzzz')).records.length, 0);
        assert.equal((await fetch(`${coach.url}/api/records?page=5000&limit=100`)).status, 400);
        const turn = await fetch(`${coach.url}/api/voice/converse`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"userInput":"How do I do a plank?"}' });
        const { dialogueId } = await turn.json();
        const stream = await (await fetch(`${coach.url}/api/voice/open-stream?dialogueId=${dialogueId}`)).text();
        assert.match(stream, /forearms/);
        assert.match(stream, /"status":"completed"/);
      } finally {
        await coach.stop();
      }
    });

    on('an answer beyond response_max is refused', async () => {
      await app.post('/bulk', { count: 600, text: 10_000, options: { index: 'long', refresh: true } });
      const { problem } = await app.call('search', { index: 'long', size: 600 });
      assert.equal(problem.kind, 'too_large');
    });
  });
}
