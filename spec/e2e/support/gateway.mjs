// A GraphQL service with the schema of the Arweave gateway's transactions, on graphql-js and graphql-http.

import { buildSchema, GraphQLError } from 'graphql';
import { createHandler } from 'graphql-http/lib/use/http';

export const schema = buildSchema(`
  enum SortOrder { HEIGHT_ASC HEIGHT_DESC }
  enum TagOperator { EQ NEQ }
  input TagFilter { name: String!, values: [String!]!, op: TagOperator = EQ }
  input BlockFilter { min: Int, max: Int }
  type Owner { address: String!, key: String! }
  type Tag { name: String!, value: String! }
  type Block { id: ID!, timestamp: Int!, height: Int!, previous: ID! }
  type MetaData { size: String!, type: String }
  type Bundle { id: ID! }
  type Transaction { id: ID!, owner: Owner!, recipient: String!, tags: [Tag!]!, block: Block, data: MetaData!, bundledIn: Bundle, quota: Int }
  type PageInfo { hasNextPage: Boolean! }
  type TransactionEdge { cursor: String!, node: Transaction! }
  type TransactionConnection { pageInfo: PageInfo!, edges: [TransactionEdge!]! }
  type Query {
    transaction(id: ID!): Transaction
    transactions(ids: [ID!], owners: [String!], recipients: [String!], tags: [TagFilter!], bundledIn: [ID!], block: BlockFilter,
      first: Int = 10, after: String, sort: SortOrder = HEIGHT_DESC): TransactionConnection!
  }
  type Mutation { forget(id: ID!): Boolean }
`);

const TYPES = ['Record', 'Template'];

/** Transaction number i, of block 1,000,000 + i / 3. `padding` makes it as long as is wanted. */
export function transaction(i, padding = 0) {
  return {
    id: `tx-${i}`,
    owner: { address: `owner-${i % 5}`, key: 'k' },
    recipient: '',
    tags: [{ name: 'Index-Method', value: 'OIP' }, { name: 'Type', value: TYPES[i % 2] }, { name: 'Note', value: 'ü'.repeat(padding / 2) }],
    block: { id: `block-${i}`, height: 1_000_000 + Math.floor(i / 3), timestamp: 1_700_000_000 + i, previous: 'p' },
    data: { size: String(1000 + i), type: 'application/json' },
    bundledIn: null,
    quota: () => {
      if (i === 3) throw new GraphQLError('the quota of tx-3 is unknown', { extensions: { code: 'UNAVAILABLE' } });
      return i;
    },
  };
}

const fits = (tags, { name, values, op }) => {
  const found = tags.some((tag) => tag.name === name && values.includes(tag.value));
  return op === 'NEQ' ? !found : found;
};

/** count: how many transactions there are. rootValue for graphql-http. */
export function gateway(count, padding) {
  const all = Array.from({ length: count }, (_, i) => i);
  return {
    transaction: ({ id }) => (/^tx-\d+$/.test(id) ? transaction(Number(id.slice(3))) : null),
    forget: () => true,
    transactions({ ids, owners, tags = [], block = {}, first, after, sort }) {
      let found = all.map((i) => [i, transaction(i)]).filter(([, tx]) =>
        (!ids || ids.includes(tx.id)) && (!owners || owners.includes(tx.owner.address)) && tags.every((one) => fits(tx.tags, one)) &&
        (block.min == null || tx.block.height >= block.min) && (block.max == null || tx.block.height <= block.max));
      if (sort === 'HEIGHT_DESC') found = found.reverse();
      const begin = after ? found.findIndex(([i]) => `cursor-${i}` === after) + 1 : 0;
      if (after && begin === 0) throw new GraphQLError('no such cursor', { extensions: { code: 'BAD_CURSOR' } });
      const page = found.slice(begin, begin + Math.min(first, 100));
      return {
        pageInfo: { hasNextPage: begin + page.length < found.length },
        edges: page.map(([i]) => ({ cursor: `cursor-${i}`, node: transaction(i, padding) })),
      };
    },
  };
}

/** A request handler for node:http that knows persisted queries when `known` is a Map. */
export function handlerFor(rootValue, known) {
  return createHandler({
    schema,
    rootValue,
    parseRequestParams: !known ? undefined : async (request) => {
      const params = JSON.parse(await request.body());
      const hash = params.extensions?.persistedQuery?.sha256Hash;
      if (hash && params.query) known.set(hash, params.query);
      if (hash && !params.query && !known.has(hash)) {
        const problem = { message: 'PersistedQueryNotFound', extensions: { code: 'PERSISTED_QUERY_NOT_FOUND' } };
        return [JSON.stringify({ errors: [problem] }), { status: 200, statusText: 'OK', headers: { 'content-type': 'application/json' } }];
      }
      return { ...params, query: params.query ?? known.get(hash), extensions: undefined };
    },
  });
}
