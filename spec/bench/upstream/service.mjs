// The service that both ask: /body is 400 KB at once, /llm 50 tokens a second as server-sent events for /llm?seconds=N.

import http from 'node:http';

const body = Buffer.alloc(400 * 1024, 'b');

http
  .createServer((request, answer) => {
    if (request.url === '/body') return answer.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': body.length }).end(body);
    const seconds = Number(new URL(request.url, 'http://x').searchParams.get('seconds') ?? 5);
    answer.writeHead(200, { 'content-type': 'text/event-stream' });
    let left = seconds * 50;
    const timer = setInterval(() => {
      answer.write(`data: {"choices":[{"index":0,"delta":{"content":"token ${left}"}}]}\n\n`);
      if (--left <= 0) {
        clearInterval(timer);
        answer.end('data: [DONE]\n\n');
      }
    }, 20);
    answer.on('close', () => clearInterval(timer));
    return undefined;
  })
  .listen(0, '127.0.0.1', function listening() {
    console.error(`listening on http://127.0.0.1:${this.address().port}`);
  });
