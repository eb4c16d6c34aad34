// The bare server that ./dev bench http compares with: what its documentation shows, and no more.
import http from 'node:http';

const server = http.createServer((request, response) => {
  response.writeHead(200, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify({ message: 'Hello, World!' }));
});
server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log('listening'));
