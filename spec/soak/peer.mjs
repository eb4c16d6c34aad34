// What others do: an SSE server of Node's own http module and nothing else, for idle_listeners.mjs. Prints its port; for each line
// that it reads, the number of its listeners.

import http from 'node:http';

const listeners = new Set();

const server = http.createServer((request, response) => {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  response.write(`retry: 500\n\nevent: ping\ndata: {"timestamp":${Date.now()}}\n\n`);
  const ping = setInterval(() => response.write(`event: ping\ndata: {"timestamp":${Date.now()}}\n\n`), 30_000);
  listeners.add(response);
  response.on('close', () => {
    clearInterval(ping);
    listeners.delete(response);
  });
});
server.listen(0, '127.0.0.1', 4096, () => console.log(server.address().port));
process.stdin.on('data', () => console.log(listeners.size));
