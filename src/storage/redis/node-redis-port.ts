import { within } from '../../awaitable.js';
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

/** What `createClient` and `createCluster` of node-redis make, as far as it is used here. */
export interface NodeRedisClient {
  readonly isOpen: boolean;
  connect(): Promise<unknown>;
  destroy(): unknown;
  duplicate(...overrides: any[]): any;
  sendCommand(...command: any[]): Promise<any>;
  on(event: string, listener: (...args: any[]) => void): unknown;
  off(event: string, listener: (...args: any[]) => void): unknown;
}

interface NodeRedisSingle extends NodeRedisClient {
  readonly isReady: boolean;
  subscribe(channels: readonly string[], listener: (message: string, channel: string) => void): Promise<void>;
}

interface NodeRedisMaster {
  /** `host:port` */
  readonly address: string;
}

interface NodeRedisCluster extends NodeRedisClient {
  readonly masters: readonly NodeRedisMaster[];
  nodeClient(node: NodeRedisMaster): NodeRedisSingle | Promise<NodeRedisSingle>;
}

/** RESP3 maps come as flat lists, like in RESP2: an object would lose or mangle keys such as `__proto__`. */
const FLAT = { typeMapping: { ['%'.charCodeAt(0)]: Array } };

export function isNodeRedis(client: unknown): client is NodeRedisClient {
  const { isOpen, connect, sendCommand, duplicate } = client as Partial<NodeRedisClient>;
  return (
    typeof isOpen === 'boolean' &&
    [connect, sendCommand, duplicate].every((method) => typeof method === 'function')
  );
}

export class NodeRedisPort implements RedisPort {
  private readonly gate = new ReadyGate();
  private readonly onReady = () => this.gate.open();
  /** Without a listener, Node ends the process at the first lost connection. */
  private readonly onError = (error: Error) => void (this.lastError = error);
  private lastError: Error | undefined;
  private connectedHere = false;
  private abandoned = 0;

  /** @param timeout longest time of a command in milliseconds */
  constructor(
    private readonly client: NodeRedisClient,
    private readonly timeout: number,
  ) {
    client.on('error', this.onError);
    client.on('ready', this.onReady);
  }

  async open(): Promise<void> {
    const timeout = OPEN_PATIENCE * this.timeout;
    const failed = () => notConnected(timeout, this.lastError);
    if (!this.client.isOpen) {
      this.connectedHere = true;
      await within(this.client.connect(), timeout, failed);
    } else if (!isReady(this.client)) {
      await this.gate.wait(timeout, failed);
    }
  }

  send(key: string, command: string, args: readonly string[]): Promise<Reply> {
    return isReady(this.client)
      ? this.sendNow(key, [command, ...args], this.timeout)
      : this.sendWhenReady(key, [command, ...args]);
  }

  get isCluster(): boolean {
    return isCluster(this.client);
  }

  async masters(): Promise<readonly RedisMaster[]> {
    const { client, timeout } = this;
    const failed = () => notConnected(timeout);
    if (!isReady(client)) await this.gate.wait(timeout, failed);
    if (!isCluster(client)) {
      return [{ address: '', send: (command, args) => this.sendNow('', [command, ...args], timeout) }];
    }
    return client.masters.map((master) => ({
      address: master.address,
      send: async (command, args) => {
        const node = await within(Promise.resolve(client.nodeClient(master)), timeout, failed);
        return this.bounded((options) => node.sendCommand([command, ...args], options), timeout);
      },
    }));
  }

  subscribe(channels: readonly string[], listener: MessageListener, restored: () => void): Subscription {
    const connection: NodeRedisSingle = this.client.duplicate();
    connection.on('error', this.onError);
    connection.on('ready', restored);
    const listen = async () => {
      await connection.connect();
      await connection.subscribe(channels, (message, channel) => listener(channel, message));
    };
    return { ready: listen(), close: () => void (connection.isOpen && connection.destroy()) };
  }

  async close(): Promise<void> {
    this.client.off('ready', this.onReady);
    if (this.connectedHere && this.client.isOpen) this.client.destroy();
    this.client.off('error', this.onError);
  }

  private async sendWhenReady(key: string, args: string[]): Promise<Reply> {
    const start = performance.now();
    await this.gate.wait(this.timeout, () => notConnected(this.timeout));
    return this.sendNow(key, args, this.timeout - (performance.now() - start));
  }

  private sendNow(key: string, args: string[], timeout: number): Promise<Reply> {
    const { client } = this;
    return this.bounded(
      (options) =>
        isCluster(client) ? client.sendCommand(key, false, args, options) : client.sendCommand(args, options),
      timeout,
    );
  }

  /**
   * What is given up is taken back, if it has not been sent: from the client's queue, where it waits for a node that
   * is down or a socket that is full, and before it goes to another node of a Cluster. Sent later, it would
   * overwrite what others have written since.
   */
  private bounded(send: (options: object) => Promise<Reply>, timeout: number): Promise<Reply> {
    if (this.abandoned >= MAX_ABANDONED) return Promise.reject(tooManyAbandoned());
    return new Promise((resolve, reject) => {
      const giveUp = new AbortController();
      let givenUp = false;
      const timer = setTimeout(() => {
        givenUp = true;
        this.abandoned++;
        reject(noAnswer(this.timeout));
        giveUp.abort();
      }, timeout);
      const settled = () => (givenUp ? void this.abandoned-- : clearTimeout(timer));
      // The client's own timeout, one more timer for each command, would have nothing to do.
      send({ ...FLAT, timeout: undefined, abortSignal: giveUp.signal }).then(
        (value) => {
          settled();
          resolve(value);
        },
        (error: Error) => {
          settled();
          reject(error);
        },
      );
    });
  }
}

function isCluster(client: NodeRedisClient): client is NodeRedisCluster {
  return 'masters' in client;
}

/** A cluster client has many connections, and no word on all of them. */
function isReady(client: NodeRedisClient): boolean {
  return isCluster(client) ? client.isOpen : (client as NodeRedisSingle).isReady;
}
