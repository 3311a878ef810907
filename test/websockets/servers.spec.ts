import { afterEach, describe, expect, it } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { IoAdapter } from '@nestjs/platform-socket.io';
import { WsAdapter } from '@nestjs/platform-ws';
import { Ack, type OnGatewayConnection, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { withSessions } from 'nest-sessions/websockets';
import { Session, SessionModule } from '../../src/index.js';
import { type AnySession, Root } from '../support/app.js';
import { until } from '../support/gate.js';
import {
  answer,
  type SocketApp,
  type SocketStack,
  stackPerLibrary,
  startSockets,
  statusOf,
} from './support.js';

const [onIo, onWs] = stackPerLibrary.map(([, stack]) => stack) as [SocketStack, SocketStack];

/** Names of gateways that were connected to. */
const connected: string[] = [];

abstract class Base implements OnGatewayConnection {
  abstract readonly name: string;

  handleConnection() {
    connected.push(this.name);
  }

  @SubscribeMessage('who')
  who(@Session() session: AnySession) {
    return answer(`${session.userId ?? 'nobody'} at ${this.name}`);
  }
}

@WebSocketGateway()
class Main extends Base {
  name = 'main';
}
@WebSocketGateway({ namespace: 'orders' })
class Orders extends Base {
  name = 'orders';
}
@WebSocketGateway({ namespace: /^\/room-\d+$/ })
class Rooms extends Base {
  name = 'rooms';
}
@WebSocketGateway({ path: '/news' })
class News extends Base {
  name = 'news';
}
@WebSocketGateway(4561, { path: '/own' })
class OwnPort extends Base {
  name = 'own port';
}
@WebSocketGateway(4562)
class OwnServer extends Base {
  name = 'own server';
}

/** Each message writes another number. */
let writes = 0;

@WebSocketGateway()
class Acknowledging {
  @SubscribeMessage('returned')
  returned(@Session() session: AnySession) {
    session.set('n', ++writes);
    return 'returned';
  }

  @SubscribeMessage('by hand')
  byHand(@Session() session: AnySession, @Ack() ack: (value: string) => void) {
    session.set('n', ++writes);
    ack('by hand');
  }
}

let app: SocketApp | undefined;
afterEach(async () => {
  await app?.stop();
  app = undefined;
  connected.length = 0;
});

describe('servers of socket.io', () => {
  it('namespaces: each has the session, and all are told of its end before the connection is closed', async () => {
    app = await startSockets(onIo, { gateways: [Orders, Rooms, Main], sockets: { require: 'user' } });
    expect(await statusOf(app.connect(undefined, { namespace: '/orders' }))).toBe(401);
    const cookie = await app.cookie();
    const main = await app.connect(cookie);
    const { io } = main.raw as any;
    // Over the same connection.
    const told: string[] = [];
    for (const name of ['/orders', '/room-7']) {
      const socket = io.socket(name);
      socket.onAny((event: string) => told.push(`${name} ${event}`));
      socket.on('disconnect', () => told.push(`${name} is closed`));
      await until(() => socket.connected, `${name} is open`);
    }
    expect(connected).toEqual(['main', 'orders', 'rooms']);
    expect(app.sockets.ofUser('ada')).toHaveLength(3);
    expect(await main.ask('who')).toEqual(answer('ada at main'));
    told.length = 0;
    await app.store.destroyByUser('ada');
    expect(await main.ended()).toBe(true);
    await until(() => told.length === 4, 'the others are closed');
    expect(told.slice(0, 2)).toEqual(['/orders session:ended', '/room-7 session:ended']);
  });

  it('a port and a path of its own', async () => {
    app = await startSockets(onIo, { gateways: [Main, OwnPort], sockets: { require: 'user' } });
    const options = { port: 4561, path: '/own' };
    expect(await statusOf(app.connect(undefined, options))).toBe(401);
    const client = await app.connect(await app.cookie(), options);
    expect(await client.ask('who')).toEqual(answer('ada at own port'));
    await app.store.destroyByUser('ada');
    expect(await client.ended()).toBe(true);
  });

  it('polling, and then an upgrade, keep one session', async () => {
    app = await startSockets(onIo, { gateways: [Main] });
    const client = await app.connect(await app.cookie(), { polling: true });
    expect(await client.ask('who')).toEqual(answer('ada at main'));
    await until(() => (client.raw as any).io.engine.transport.name === 'websocket', 'it is upgraded');
    expect(await client.ask('who')).toEqual(answer('ada at main'));
    await app.store.destroyByUser('ada');
    expect(await client.ended()).toBe(true);
  });

  it("an adapter that extends Nest's, and what the application checks itself", async () => {
    const asked: string[] = [];
    class OwnAdapter extends IoAdapter {
      readonly #path = '/socket.io';
      override createIOServer(port: number, options?: any): any {
        return super.createIOServer(port, {
          ...options,
          path: this.#path,
          allowRequest: (request: any, done: (error: null, ok: boolean) => void) => {
            asked.push(request.headers.cookie);
            done(null, request.headers['x-key'] === 'yes');
          },
        });
      }
    }
    app = await startWith(onIo, (nest) => new OwnAdapter(nest));
    const cookie = await app.cookie();
    expect(await statusOf(app.connect())).toBe(401);
    expect(asked).toEqual([]);
    expect(await statusOf(app.connect(cookie))).not.toBe(0);
    const client = await app.connect(cookie, { headers: { 'x-key': 'yes' } });
    expect(await client.ask('who')).toEqual(answer('ada at main'));
    expect(asked).toEqual([cookie, cookie]);
  });

  it('acknowledgements come once what was written is saved', async () => {
    writes = 0;
    app = await startSockets(onIo, { gateways: [Acknowledging] });
    const cookie = await app.cookie();
    const { raw } = await app.connect(cookie);
    const ask = (event: string) => (raw as any).timeout(1_000).emitWithAck(event, 'x');
    const stored = () => app!.running.probe.value(cookie.slice(4, 26), 'n');
    expect([await ask('returned'), stored()]).toEqual(['returned', 1]);
    expect([await ask('by hand'), stored()]).toEqual(['by hand', 2]);
    app.running.probe.fail('update');
    for (const event of ['returned', 'by hand']) {
      const told = new Promise((resolve) => raw.once('exception', resolve));
      await expect(ask(event)).rejects.toThrow('timed out');
      expect(await told).toEqual({
        status: 'error',
        message: 'Service Unavailable',
        cause: { pattern: event, data: 'x' },
      });
    }
  });
});

describe('servers of ws', () => {
  it('several gateways, paths and ports', async () => {
    app = await startSockets(onWs, {
      gateways: [Main, News, OwnPort, OwnServer],
      sockets: { require: 'user' },
    });
    const cookie = await app.cookie();
    const places = [
      [{ path: '/' }, 'main'],
      [{ path: '/news' }, 'news'],
      [{ port: 4561, path: '/own' }, 'own port'],
      [{ port: 4562 }, 'own server'],
    ] as const;
    const clients = [];
    for (const [options, name] of places) {
      expect(await statusOf(app.connect(undefined, options))).toBe(401);
      const client = await app.connect(cookie, options);
      expect(await client.ask('who')).toEqual(answer(`ada at ${name}`));
      clients.push(client);
    }
    expect(connected).toEqual(places.map(([, name]) => name));
    await app.store.destroyByUser('ada');
    for (const client of clients) expect(await client.ended()).toBe(true);
  });

  it.each([
    ['that answers', (info: any) => info.req.headers['x-key'] === 'yes'],
    ['that calls back', (info: any, done: any) => void done(info.req.headers['x-key'] === 'yes', 402)],
  ])("an adapter that extends Nest's, and a check of its own %s", async (_how, verifyClient) => {
    class OwnAdapter extends WsAdapter {
      override create(port: number, options?: any): any {
        return super.create(port, { ...options, verifyClient });
      }
    }
    app = await startWith(onWs, (nest) => new OwnAdapter(nest));
    const cookie = await app.cookie();
    expect(await statusOf(app.connect())).toBe(401);
    expect(await statusOf(app.connect(cookie))).toBe(verifyClient.length === 2 ? 402 : 401);
    const client = await app.connect(cookie, { headers: { 'x-key': 'yes' } });
    expect(await client.ask('who')).toEqual(answer('ada at main'));
  });
});

function startWith(stack: SocketStack, adapter: (app: INestApplication) => any): Promise<SocketApp> {
  return startSockets(stack, { gateways: [Main], sockets: { require: 'user' } }, adapter);
}

describe('withSessions() refuses', () => {
  const create = async (imports: any[] = [SessionModule.forRoot({ purge: false })]) =>
    NestFactory.create({ module: class extends Root {}, imports }, { logger: false });

  it.each([
    [{ require: 'admin' }, 'withSessions: require must be'],
    [{ trustedOrigins: ['https://*.example'] }, 'withSessions: trustedOrigins must be'],
    [{ checkEvery: 0 }, 'withSessions: checkEvery must be'],
    [{ touch: 'no' }, 'withSessions: touch must be'],
    [{ origins: [] }, 'withSessions: origins is not an option'],
    ['user', 'withSessions: the options must be an object'],
  ])('the options %j', async (options, message) => {
    const nest = await create();
    expect(() => withSessions(new WsAdapter(nest), nest, options as object)).toThrow(message);
  });

  it('what is no adapter, one that has sessions, and an application without them', async () => {
    const nest = await create();
    expect(() => withSessions(nest as never, nest)).toThrow(
      'the first argument must be an adapter of WebSockets',
    );
    const adapter = withSessions(new WsAdapter(nest), nest);
    expect(() => withSessions(adapter, nest)).toThrow('this adapter has sessions already');
    expect(() => withSessions(new WsAdapter(nest), undefined as never)).toThrow('takes the application');
    const bare = await create([]);
    expect(() => withSessions(new WsAdapter(bare), bare)).toThrow('SessionModule is not imported');
  });

  it('an adapter that makes other servers', async () => {
    class Other extends WsAdapter {
      override create(): any {
        return new Map();
      }
    }
    const starting = startSockets(onWs, { gateways: [Main] }, (nest) => new Other(nest));
    await expect(starting).rejects.toThrow(
      'adapters that make servers of socket.io or ws; this one made Map',
    );
  });
});
