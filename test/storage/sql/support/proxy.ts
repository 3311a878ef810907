import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** Stands between pool and server: a network that falls silent, or loses an answer. */
export class Proxy {
  private readonly pairs = new Set<readonly [Socket, Socket]>();
  private silent = false;
  private cutNext = false;

  private constructor(
    private readonly target: number,
    private readonly server = createServer((client) => this.join(client)),
  ) {}

  static async start(target: number): Promise<Proxy> {
    const proxy = new Proxy(target);
    proxy.server.listen(0, '127.0.0.1');
    await once(proxy.server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** From now on nothing goes through, in either direction, and no connection is ended. */
  fallSilent(): void {
    this.silent = true;
  }

  /** What was held back is lost, and its connections with it. */
  recover(): void {
    this.silent = false;
    this.cut();
  }

  /** Lets the next thing that is asked through to the server, and ends the connection instead of its answer. */
  loseNextAnswer(): void {
    this.cutNext = true;
  }

  async stop(): Promise<void> {
    this.cut();
    this.server.close();
    await once(this.server, 'close');
  }

  private cut(): void {
    for (const pair of this.pairs) for (const socket of pair) socket.destroy();
  }

  private join(client: Socket): void {
    const server = connect(this.target, '127.0.0.1');
    const pair = [client, server] as const;
    this.pairs.add(pair);
    const end = () => {
      this.pairs.delete(pair);
      for (const socket of pair) socket.destroy();
    };
    client.on('data', (data) => this.silent || server.write(data));
    server.on('data', (data) => {
      if (this.silent) return;
      if (!this.cutNext) return client.write(data);
      this.cutNext = false;
      end();
    });
    for (const socket of pair) socket.on('error', end).on('close', end);
  }
}
