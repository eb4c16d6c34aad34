// The peer: Node's own fetch (undici) between a client and a service. /pipe?path=X gives the answer of X to the client as it comes.

import http from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const service = process.argv[2];

const server = http.createServer(async (request, answer) => {
  const cancel = new AbortController();
  answer.on('close', () => cancel.abort());
  try {
    const target = new URL(request.url, 'http://x').searchParams.get('path');
    const response = await fetch(service + target, { signal: cancel.signal });
    const length = response.headers.get('content-length');
    answer.writeHead(response.status, { 'content-type': response.headers.get('content-type'), ...(length && { 'content-length': length }) });
    await pipeline(Readable.fromWeb(response.body), answer);
  } catch {
    answer.destroy();
  }
});
server.listen(0, '127.0.0.1', () => console.error(`listening on http://127.0.0.1:${server.address().port}`));
