/**
 * `npm run sample:cluster`: the sample twice, as two processes on one Redis, behind a proxy that takes them in
 * turns. Log in, and every other page comes from the other process. Kill one, and stay logged in.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';

import { ProxyServer } from 'httpxy';

import { addressOf } from './storage.js';

const NODES = 2;
const redis = addressOf('redis') ?? 'redis://127.0.0.1:6379';
const port = Number(process.env.PORT ?? 3000);

interface Node {
  readonly name: string;
  readonly process: ChildProcess;
  /** Where it listens; undefined until it does. */
  url?: string;
}

const nodes = new Set<Node>();
const proxy = new ProxyServer({ xfwd: true });
let turn = 0;

/** Starts a node, and is done when it listens. */
async function start(name: string): Promise<void> {
  const child = fork(fileURLToPath(new URL('./main.js', import.meta.url)), process.argv.slice(2), {
    env: { ...process.env, PORT: '0', REDIS_URL: redis, NODE_NAME: name },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const node: Node = { name, process: child };
  nodes.add(node);
  console.log(`${name}: process ${child.pid}`);
  await new Promise<void>((resolve, reject) => {
    child.once('exit', () => {
      nodes.delete(node);
      if (node.url) console.log(`${name} is gone; ${nodes.size} left`);
      reject(new Error(`${name} could not start; is there a Redis at ${new URL(redis).host}?`));
    });
    child.stdout!.on('data', (chunk: Buffer) => {
      node.url ??= /http:\/\/localhost:\d+/.exec(String(chunk))?.[0];
      if (node.url) resolve();
    });
  });
}

/** The next node gets the request; if it dies with it, a request that may be repeated goes to the one after. */
async function pass(request: IncomingMessage, response: ServerResponse, tries = nodes.size): Promise<void> {
  const node = [...nodes][turn++ % nodes.size];
  try {
    if (!node?.url) throw new Error('no node is left');
    await proxy.web(request, response, { target: node.url });
  } catch {
    const repeatable = request.method === 'GET' || request.method === 'HEAD';
    if (repeatable && tries > 1 && !response.headersSent) return pass(request, response, tries - 1);
    if (!response.headersSent) response.writeHead(502, { 'content-type': 'text/plain' });
    response.end('The process that had this request is gone. Please try again.');
  }
}

try {
  await Promise.all(Array.from({ length: NODES }, (_, i) => start(`node ${i + 1}`)));
} catch (error) {
  console.error((error as Error).message);
  stop(1);
}

const server = createServer((request, response) => void pass(request, response));
server.on('error', (error: NodeJS.ErrnoException) => {
  console.error(
    error.code === 'EADDRINUSE' ? `Port ${port} is taken; choose another: PORT=${port + 1}` : error,
  );
  stop(1);
});
// A socket belongs to the process that took it; the sessions of both are the same.
server.on('upgrade', (request, socket: Socket, head) => {
  const node = [...nodes][turn++ % nodes.size];
  socket.on('error', () => socket.destroy());
  if (!node?.url) return void socket.destroy();
  proxy.ws(request, socket, { target: node.url }, head).catch(() => socket.destroy());
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
