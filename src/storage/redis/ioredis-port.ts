import { setImmediate } from 'node:timers';
import { SessionOptionsError } from '../../errors.js';
import { ReadyGate } from './ready-gate.js';
import {
  MAX_ABANDONED,
  type MessageListener,
  noAnswer,
  notConnected,
  OPEN_PATIENCE,
  type RedisMaster,
  type RedisPort,
  type Reply,
  type Subscription,
  tooManyAbandoned,
} from './port.js';

/** A `Redis` or `Cluster` of ioredis, as far as it is used here: its types need not be installed. */
export interface IoredisClient {
  readonly status: string;
  readonly isCluster?: boolean;
  readonly options: object;
  /** The connection; a Cluster has none of its own. */
  readonly stream?: Corkable | null;
  connect(): Promise<unknown>;
  disconnect(): void;
  duplicate(...overrides: any[]): any;
  call(...command: any[]): unknown;
  sendCommand(command: any): any;
  on(event: string, listener: (...args: any[]) => void): unknown;
  off(event: string, listener: (...args: any[]) => void): unknown;
}

/** A connection whose writes can be held back, to go out as one. */
interface Corkable {
  cork(): void;
  uncork(): void;
}

interface IoredisCluster extends IoredisClient {
  nodes(role: 'master'): IoredisClient[];
}

interface IoredisSubscriber extends IoredisClient {
  subscribe(...channels: string[]): Promise<unknown>;
}

/** ioredis's own object for a command: with it, a command can be given up. */
interface IoredisCommand {
  name: string;
  args: unknown[];
  resolve: (value: unknown) => unknown;
  reject: (error: Error) => void;
  setTimeout(milliseconds: number): void;
}

type CommandClass = new (
  name: string,
  args: readonly string[],
  options: { readonly replyEncoding: 'utf8' },
) => IoredisCommand;

const TEXT = { replyEncoding: 'utf8' } as const;

/** ioredis's message of a command that took longer than its `setTimeout`. */
const TIMED_OUT = 'Command timed out';

export function isIoredis(client: unknown): client is IoredisClient {
  const { status, call, sendCommand, duplicate } = client as Partial<IoredisClient>;
  return (
    typeof status === 'string' &&
    [call, sendCommand, duplicate].every((method) => typeof method === 'function')
  );
}

export class IoredisPort implements RedisPort {
  private readonly Command: CommandClass;
  private readonly gate = new ReadyGate();
  private readonly onReady: () => void;
  private abandoned = new Set<IoredisCommand>();
  private corked: Corkable | undefined;
  private readonly uncork = () => {
    this.corked?.uncork();
    this.corked = undefined;
  };

  /**
   * @param timeout longest time of a command in milliseconds
   * @param owned whether the client ends with the storage
   * @throws {SessionOptionsError} when an option of the client is at odds with what sessions need
   */
  constructor(
    private readonly client: IoredisClient,
    private readonly timeout: number,
    private readonly owned: boolean,
  ) {
    checkOptions(client);
    this.Command = commandClassOf(client);
    this.onReady = () => {
      // What an older connection did not answer was sent again or dropped by now.
      this.abandoned = new Set();
      this.gate.open();
    };
    client.on('ready', this.onReady);
  }

  async open(): Promise<void> {
    if (this.client.status === 'ready') return;
    let reason: Error | undefined;
    const onError = (error: Error) => void (reason = error);
    this.client.on('error', onError);
    try {
      await this.ready(OPEN_PATIENCE * this.timeout, () => reason);
    } finally {
      this.client.off('error', onError);
    }
  }

  send(_key: string, command: string, args: readonly string[]): Promise<Reply> {
    return this.client.status === 'ready'
      ? this.sendNow(this.client, command, args, this.timeout)
      : this.sendWhenReady(command, args);
  }

  get isCluster(): boolean {
    return this.client.isCluster === true;
  }

  async masters(): Promise<readonly RedisMaster[]> {
    if (this.client.status !== 'ready') await this.ready(this.timeout);
    const nodes = this.isCluster ? (this.client as IoredisCluster).nodes('master') : [this.client];
    return nodes.map((node) => {
      const { host, port } = node.options as { readonly host?: string; readonly port?: number };
      return {
        address: this.isCluster ? `${host}:${port}` : '',
        send: (command, args) => this.sendNow(node, command, args, this.timeout),
      };
    });
  }

  subscribe(channels: readonly string[], listener: MessageListener, restored: () => void): Subscription {
    const options = { lazyConnect: true, enableOfflineQueue: true, autoResubscribe: true };
    const connection: IoredisSubscriber = this.isCluster
      ? this.client.duplicate([], options)
      : this.client.duplicate({ ...options, maxRetriesPerRequest: null });
    // The failures of the client itself are enough to hear of.
    connection.on('error', () => undefined);
    connection.on('message', listener);
    connection.on('ready', restored);
    return { ready: connection.subscribe(...channels), close: () => connection.disconnect() };
  }

  async close(): Promise<void> {
    this.client.off('ready', this.onReady);
    if (this.owned) this.client.disconnect();
  }

  private async sendWhenReady(command: string, args: readonly string[]): Promise<Reply> {
    const start = performance.now();
    await this.ready(this.timeout);
    return this.sendNow(this.client, command, args, this.timeout - (performance.now() - start));
  }

  private ready(timeout: number, reason?: () => Error | undefined): Promise<void> {
    // Of a lazy client, nothing else would connect it; why it could not, its error event tells.
    if (this.client.status === 'wait') this.client.connect().catch(() => undefined);
    return this.gate.wait(timeout, () => notConnected(timeout, reason?.()));
  }

  private sendNow(to: IoredisClient, name: string, args: readonly string[], timeout: number): Promise<Reply> {
    if (this.abandoned.size >= MAX_ABANDONED) return Promise.reject(tooManyAbandoned());
    this.gather(to);
    const command = new this.Command(name, args, TEXT);
    command.setTimeout(timeout);
    // Not the command's own promise: where somebody traces commands, this is another one that may reject.
    return to.sendCommand(command).then(undefined, (error: Error) => {
      if (error.message !== TIMED_OUT) throw error;
      this.abandon(command);
      throw noAnswer(this.timeout);
    });
  }

  /**
   * Lets all that is sent while the event loop deals with what has arrived go out in one write. ioredis by itself
   * makes a system call of each command, which costs more than the rest of it.
   */
  private gather({ stream }: IoredisClient): void {
    if (this.corked || !stream) return;
    this.corked = stream;
    stream.cork();
    setImmediate(this.uncork);
  }

  /**
   * ioredis sends again, on the next connection, what was not answered on the last one. A write that was
   * reported as failed would then overwrite a later one: it goes out as a PING instead.
   */
  private abandon(command: IoredisCommand): void {
    const { abandoned } = this;
    abandoned.add(command);
    command.name = 'ping';
    command.args = [];
    command.resolve = command.reject = () => abandoned.delete(command);
  }
}

/** The class that this client makes its commands with; asked of the client, because it has to be of the same copy. */
function commandClassOf(client: IoredisClient): CommandClass {
  let made: object | undefined;
  const probe: IoredisClient = Object.create(client, {
    options: { value: {} },
    sendCommand: { value: (command: object) => void (made = command) },
  });
  probe.call('PING');
  return made!.constructor as CommandClass;
}

function checkOptions({ options }: IoredisClient): void {
  const { keyPrefix, scaleReads = 'master' } = options as { keyPrefix?: unknown; scaleReads?: unknown };
  if (keyPrefix) {
    throw new SessionOptionsError(
      `RedisStorage: the client must not have a keyPrefix; use the storage's own option prefix. Got ${String(keyPrefix)}.`,
    );
  }
  if (scaleReads !== 'master') {
    throw new SessionOptionsError(
      'RedisStorage: the Cluster client must read from masters (scaleReads: "master"): on a replica that lags ' +
        `behind, a session that was ended is alive. Got ${String(scaleReads)}.`,
    );
  }
}
