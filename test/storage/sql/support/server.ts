import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createConnection } from 'mysql2/promise';
import { Client } from 'pg';

/** A server of the tests' own, on a port of loopback and in a directory that goes with it. */
export abstract class SqlServer {
  private process: ChildProcess | undefined;
  protected readonly directory = mkdtempSync(join(tmpdir(), 'nest-sessions-sql-'));

  protected constructor(readonly port: number) {
    chmodSync(this.directory, 0o755);
    if (account) chownSync(this.directory, account.uid, account.gid);
  }

  abstract readonly url: string;
  protected abstract readonly command: readonly [string, ...string[]];
  /** Whether it answers. */
  protected abstract ask(): Promise<void>;
  /** Makes the data directory. */
  protected abstract prepare(): void;

  /** Starts it, or starts it again with what it had. */
  async start(): Promise<void> {
    const [binary, ...args] = this.command;
    this.process = spawn(pathOf(binary), args, { stdio: 'ignore', ...account });
    const answers = () =>
      this.ask().then(
        () => true,
        () => false,
      );
    await until(answers, `${binary} answers at port ${this.port}`, 60_000);
  }

  /** Ends it at once, or in good order. */
  async end(signal: 'SIGKILL' | 'SIGTERM' | 'SIGINT' = 'SIGKILL'): Promise<void> {
    const { process } = this;
    this.process = undefined;
    if (!process) return;
    const exited = once(process, 'exit');
    process.kill('SIGCONT');
    process.kill(signal);
    await exited;
  }

  /** Stops it with all that belongs to it where it is; `SIGCONT` lets it go on. */
  freeze(signal: 'SIGSTOP' | 'SIGCONT' = 'SIGSTOP'): void {
    const pid = this.process!.pid!;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
    for (const each of [pid, ...children.map(Number)]) process.kill(each, signal);
  }

  async remove(): Promise<void> {
    await this.end(this instanceof PostgresServer ? 'SIGINT' : 'SIGTERM');
    rmSync(this.directory, { recursive: true, force: true });
  }

  protected asAccount(binary: string, args: readonly string[]): void {
    execFileSync(pathOf(binary), args, { stdio: 'pipe', ...account });
  }
}

export class PostgresServer extends SqlServer {
  static async start(options: readonly string[] = []): Promise<PostgresServer> {
    const server = new PostgresServer(await freePort(), options);
    server.prepare();
    await server.start();
    return server;
  }

  private constructor(
    port: number,
    private readonly options: readonly string[],
  ) {
    super(port);
  }

  get url(): string {
    return `postgres://postgres@127.0.0.1:${this.port}/postgres`;
  }

  protected get command(): [string, ...string[]] {
    const place = ['-D', join(this.directory, 'data'), '-p', String(this.port), '-k', ''];
    const settings = ['fsync=off', 'listen_addresses=127.0.0.1', ...this.options];
    return ['postgres', ...place, ...settings.flatMap((setting) => ['-c', setting])];
  }

  protected async ask(): Promise<void> {
    const client = new Client(this.url);
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.query('SELECT 1');
    } finally {
      await client.end();
    }
  }

  protected prepare(): void {
    const data = join(this.directory, 'data');
    this.asAccount('initdb', ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '-N']);
  }
}

export class MariadbServer extends SqlServer {
  static async start(options: readonly string[] = []): Promise<MariadbServer> {
    const server = new MariadbServer(await freePort(), options);
    server.prepare();
    await server.start();
    return server;
  }

  private constructor(
    port: number,
    private readonly options: readonly string[],
  ) {
    super(port);
  }

  get url(): string {
    return `mysql://root@127.0.0.1:${this.port}/test`;
  }

  protected get command(): [string, ...string[]] {
    const socket = join(this.directory, 'socket');
    const place = [`--datadir=${join(this.directory, 'data')}`, `--port=${this.port}`, `--socket=${socket}`];
    const rest = [
      '--bind-address=127.0.0.1',
      '--skip-grant-tables',
      '--skip-name-resolve',
      '--innodb-flush-log-at-trx-commit=2',
    ];
    return ['mariadbd', '--no-defaults', ...place, `--pid-file=${socket}.pid`, ...rest, ...this.options];
  }

  protected async ask(): Promise<void> {
    await (await createConnection(this.url)).end();
  }

  protected prepare(): void {
    const data = join(this.directory, 'data');
    this.asAccount('mariadb-install-db', [
      '--no-defaults',
      `--datadir=${data}`,
      '--auth-root-authentication-method=normal',
      '--skip-name-resolve',
    ]);
    this.asAccount('mkdir', ['-p', join(data, 'test')]);
  }
}

/** Neither server runs as root: then they run as PostgreSQL's account, which every installation brings. */
export const account = process.getuid?.() === 0 ? accountOf('postgres') : undefined;

function accountOf(name: string): { readonly uid: number; readonly gid: number } | undefined {
  const [uid, gid] = ['-u', '-g'].map((flag) => Number(spawnSync('id', [flag, name]).stdout));
  return uid > 0 ? { uid, gid } : undefined;
}

export const hasBinary = (name: string): boolean => spawnSync(pathOf(name), ['--version']).status === 0;

/** Debian keeps the servers of PostgreSQL off the PATH. */
function pathOf(name: string): string {
  const versions = '/usr/lib/postgresql';
  if (!existsSync(versions)) return name;
  const places = readdirSync(versions).map((version) => join(versions, version, 'bin', name));
  return places.find((place) => existsSync(place)) ?? name;
}

export async function listens(port: number, host = '127.0.0.1'): Promise<boolean> {
  const socket = connect(port, host);
  const connected = await new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
  });
  socket.destroy();
  return connected;
}

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

export const sleep = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => void setTimeout(resolve, milliseconds));

/** Waits until something holds; fails after a while. */
export async function until(condition: () => unknown, what: string, timeout = 10_000): Promise<void> {
  for (const end = Date.now() + timeout; !(await condition()); await sleep(10)) {
    if (Date.now() > end) throw new Error(`Waited in vain until ${what}`);
  }
}
