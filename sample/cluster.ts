/**
 * `npm run sample:cluster`: the sample twice, as two processes on one Redis, behind a proxy that takes them in
 * turns. Log in, and every other page comes from the other process. Kill one, and stay logged in.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { fileURLToPath } from 'node:url';

import { ProxyServer } from 'httpxy';

const NODES = 2;
const redis = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379';
const port = Number(process.env.PORT ?? 3000);

interface Node {
  readonly url: string;
  readonly process: ChildProcess;
}

const nodes: Node[] = [];
const proxy = new ProxyServer({ xfwd: true });
let turn = 0;

async function start(name: string): Promise<Node> {
  const child = fork(fileURLToPath(new URL('./main.js', import.meta.url)), process.argv.slice(2), {
    env: { ...process.env, PORT: '0', REDIS_URL: redis, NODE_NAME: name },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const url = await new Promise<string>((resolve, reject) => {
    child.once('exit', () => reject(new Error(`${name} could not start; is there a Redis at REDIS_URL?`)));
    child.stdout!.on('data', (chunk: Buffer) => {
      const address = /http:\/\/localhost:\d+/.exec(String(chunk))?.[0];
      if (address) resolve(address);
    });
  });
  const node = { url, process: child };
  child.once('exit', () => {
    nodes.splice(nodes.indexOf(node), 1);
    console.log(`${name} is gone; ${nodes.length} left`);
  });
  console.log(`${name}: process ${child.pid}`);
  return node;
}

/** The next node gets the request; if it dies with it, a request that may be repeated goes to the one after. */
async function pass(request: IncomingMessage, response: ServerResponse, tries = nodes.length): Promise<void> {
  const node = nodes[turn++ % nodes.length];
  try {
    if (!node) throw new Error('no node is left');
    await proxy.web(request, response, { target: node.url });
  } catch {
    const repeatable = request.method === 'GET' || request.method === 'HEAD';
    if (repeatable && tries > 1 && !response.headersSent) return pass(request, response, tries - 1);
    if (!response.headersSent) response.writeHead(502, { 'content-type': 'text/plain' });
    response.end('The process that had this request is gone. Please try again.');
  }
}

nodes.push(...(await Promise.all(Array.from({ length: NODES }, (_, i) => start(`node ${i + 1}`)))));

const server = createServer((request, response) => void pass(request, response));
server.on('error', (error: NodeJS.ErrnoException) => {
  console.error(
    error.code === 'EADDRINUSE' ? `Port ${port} is taken; choose another: PORT=${port + 1}` : error,
  );
  stop(1);
});
server.listen(port, () => {
  const address = server.address();
  const at = typeof address === 'object' && address ? address.port : port;
  console.log(`nest-sessions sample (${NODES} processes on ${new URL(redis).host}): http://localhost:${at}`);
});

function stop(code = 0): void {
  for (const node of nodes) node.process.kill();
  process.exit(code);
}
process.once('SIGINT', () => stop());
process.once('SIGTERM', () => stop());
