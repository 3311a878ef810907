import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from '@jest/globals';
import { Redis } from 'ioredis';

const BINARIES = ['redis-server', 'valkey-server'];

/** The server that is on the PATH. */
const binary = BINARIES.find((name) => spawnSync(name, ['--version']).status === 0);

/** `describe`, where there is a server to start; else it says so, and with CI=true it fails. */
export function describeWithServer(name: string, body: () => void): void {
  if (binary) return describe(name, body);
  const reason = `neither ${BINARIES.join(' nor ')} is on the PATH`;
  describe(name, () => {
    if (process.env['CI'] === 'true') {
      it('has a Redis server to be tested with', () => {
        throw new Error(reason);
      });
    } else {
      it.skip(`is not tested: ${reason}`, () => undefined);
    }
  });
}

/** A server of the tests' own, on a port of loopback and in a directory that goes with it. Nothing is kept on disk. */
export class Server {
  private process: ChildProcess | undefined;
  private readonly directory = mkdtempSync(join(tmpdir(), 'nest-sessions-redis-'));

  private constructor(
    readonly port: number,
    private readonly options: readonly string[],
    private readonly sentinelOf?: Server,
  ) {}

  static async start(options: readonly string[] = []): Promise<Server> {
    const server = new Server(await freePort(), options);
    await server.start();
    return server;
  }

  /** A Sentinel that watches a master, alone, as `mymaster`. */
  static async startSentinel(master: Server): Promise<Server> {
    const sentinel = new Server(await freePort(), [], master);
    await sentinel.start();
    return sentinel;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it, or starts it again, empty. */
  async start(): Promise<void> {
    const place = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.directory];
    const args = this.sentinelOf
      ? [this.writeSentinelConfig(this.sentinelOf), '--sentinel', ...place]
      : [...place, '--save', '', '--appendonly', 'no', '--loglevel', 'warning', ...this.options];
    this.process = spawn(binary!, args, { stdio: 'ignore' });
    await answers(this.port);
  }

  /** Ends it at once, or in good order. */
  async end(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    const { process } = this;
    this.process = undefined;
    if (!process) return;
    const exited = once(process, 'exit');
    process.kill('SIGCONT');
    process.kill(signal);
    await exited;
  }

  /** It stands still: connections stay, and nothing is answered. */
  freeze(): void {
    this.process!.kill('SIGSTOP');
  }

  thaw(): void {
    this.process!.kill('SIGCONT');
  }

  /** A Sentinel keeps what it knows in its file, so it has to have one. */
  private writeSentinelConfig({ port }: Server): string {
    const file = join(this.directory, 'sentinel.conf');
    const lines = [
      `sentinel monitor mymaster 127.0.0.1 ${port} 1`,
      'sentinel down-after-milliseconds mymaster 500',
      'sentinel failover-timeout mymaster 2000',
    ];
    writeFileSync(file, lines.join('\n'));
    return file;
  }

  async remove(): Promise<void> {
    await this.end();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  for (;;) {
    const probe = createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address() as AddressInfo;
    probe.close();
    await once(probe, 'close');
    // The port of a Cluster's own bus is 10,000 higher.
    if (port < 55_000) return port;
  }
}

async function answers(port: number): Promise<void> {
  for (const end = Date.now() + 10_000; Date.now() < end; await sleep(10)) {
    const socket = connect(port, '127.0.0.1');
    const connected = await new Promise((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    });
    socket.destroy();
    if (connected) return;
  }
  throw new Error(`No Redis server came up at port ${port}`);
}

export const sleep = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => void setTimeout(resolve, milliseconds));

/** Waits until something holds; fails after a while. */
export async function until(condition: () => unknown, what: string, timeout = 10_000): Promise<void> {
  for (const end = Date.now() + timeout; !(await condition()); await sleep(10)) {
    if (Date.now() > end) throw new Error(`Waited in vain until ${what}`);
  }
}

/** Asks a server directly. */
export async function ask<T>(port: number, question: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis({ port, host: '127.0.0.1', lazyConnect: true });
  try {
    return await question(redis);
  } finally {
    redis.disconnect();
  }
}
