import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** Stands between client and server, and cuts connections where a test wants it. */
export class Proxy {
  private readonly pairs = new Set<readonly [Socket, Socket]>();
  private cutAfter: number | undefined;
  cuts = 0;

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

  /** Lets so many bytes of the next answer through, and then ends its connection. */
  cutNextAnswer(bytes: number): void {
    this.cutAfter = bytes;
  }

  async stop(): Promise<void> {
    for (const [client, server] of this.pairs) {
      client.destroy();
      server.destroy();
    }
    this.server.close();
    await once(this.server, 'close');
  }

  private join(client: Socket): void {
    const server = connect(this.target, '127.0.0.1');
    const pair = [client, server] as const;
    this.pairs.add(pair);
    const end = () => {
      client.destroy();
      server.destroy();
      this.pairs.delete(pair);
    };
    client.on('data', (data) => server.write(data));
    server.on('data', (data) => {
      if (this.cutAfter === undefined) return client.write(data);
      client.end(data.subarray(0, this.cutAfter));
      this.cutAfter = undefined;
      this.cuts++;
      return server.destroy();
    });
    for (const socket of pair) socket.on('error', end).on('close', end);
  }
}
