import { afterEach, describe, expect, it, jest } from '@jest/globals';
import {
  type OnGatewayConnection,
  type OnGatewayDisconnect,
  SubscribeMessage,
  WebSocketGateway,
} from '@nestjs/websockets';
import { SessionSockets } from 'nest-sessions/websockets';
import { Exchanges } from '../../src/http/exchanges.js';
import { Session } from '../../src/index.js';
import { SocketRegistry } from '../../src/websockets/registry.js';
import type { AnySession } from '../support/app.js';
import { BasicController } from '../support/basic.js';
import { until } from '../support/gate.js';
import {
  answer,
  type Client,
  type SocketApp,
  type SocketAppOptions,
  type SocketStack,
  socketStacks,
  stackPerLibrary,
  startSockets,
} from './support.js';

/** What gateways were told, in order. */
const seen: unknown[] = [];

@WebSocketGateway()
class Gateway implements OnGatewayConnection, OnGatewayDisconnect {
  constructor(private readonly sockets: SessionSockets) {}

  handleConnection(socket: object) {
    seen.push(['connected', this.sockets.info(socket)]);
  }

  handleDisconnect(socket: object) {
    seen.push(['disconnected', this.sockets.info(socket)]);
  }

  @SubscribeMessage('who')
  who(@Session() session: AnySession) {
    return answer(session.userId ?? 'nobody');
  }

  @SubscribeMessage('plain')
  plain() {
    seen.push('plain');
    return answer('plain');
  }
}

const apps: SocketApp[] = [];
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.stop()));
  seen.length = 0;
});

async function run(stack: SocketStack, options: Partial<SocketAppOptions> = {}): Promise<SocketApp> {
  const app = await startSockets(stack, { gateways: [Gateway], controllers: [BasicController], ...options });
  apps.push(app);
  return app;
}

const handleOf = (cookie: string) => cookie.slice(4, 26);

describe.each(socketStacks)('the end of a session: %s', (_title, stack) => {
  it.each([
    ['logout over HTTP', (app: SocketApp, cookie: string) => app.running.client().get('/logout', { cookie })],
    ['destroy()', (app: SocketApp, cookie: string) => app.store.destroy(cookie.slice(4))],
    ['revoke()', (app: SocketApp, cookie: string) => app.store.revoke(handleOf(cookie))],
    ['destroyByUser()', (app: SocketApp) => app.store.destroyByUser('ada', { except: undefined })],
    ['close()', (app: SocketApp, cookie: string) => app.sockets.close(handleOf(cookie))],
  ])('%s closes its sockets, and no others (S64)', async (_what, end) => {
    const app = await run(stack);
    const [ada, bob] = [await app.cookie({ userId: 'ada' }), await app.cookie({ userId: 'bob' })];
    const clients = await Promise.all([app.connect(ada), app.connect(ada), app.connect(bob), app.connect()]);
    await end(app, ada);
    expect(await Promise.all(clients.slice(0, 2).map((client) => client.ended()))).toEqual([true, true]);
    expect(await clients[2]!.ask('who')).toEqual(answer('bob'));
    expect(await clients[3]!.ask('who')).toEqual(answer('nobody'));
    expect([app.sockets.of(handleOf(ada)), app.sockets.ofUser('ada')]).toEqual([[], []]);
  });

  it('comes by itself, with no traffic at all, and not before the deadline that use has moved (S64)', async () => {
    const app = await run(stack, { session: { touchAfter: 0 } });
    const cookie = await app.cookie({ userId: 'ada', ttl: 0.4 });
    const client = await app.connect(cookie);
    const begun = performance.now();
    setTimeout(() => void app.running.client().get('/read', { cookie }), 250);
    expect(await client.ended()).toBe(true);
    const after = performance.now() - begun;
    expect([after > 600, after < 1_000, after]).toEqual([true, true, after]);
  });

  it('regenerate over HTTP goes on; a login is the end, and so is one of another user (S56)', async () => {
    const app = await run(stack);
    const browser = app.running.client();
    await browser.get('/set/n/1');
    const visitor = await app.connect(`sid=${browser.sid}`);
    await browser.get('/rotate');
    expect(await visitor.ask('who')).toEqual(answer('nobody'));
    await browser.get('/login/ada');
    expect(await visitor.ended()).toBe(true);
    const ada = await app.connect(`sid=${browser.sid}`);
    await browser.get('/rotate');
    expect(await ada.ask('who')).toEqual(answer('ada'));
    await browser.get('/login/bob');
    expect(await ada.ended()).toBe(true);
  });

  it('app.close() ends all', async () => {
    const app = await run(stack);
    const clients = await Promise.all([app.connect(await app.cookie()), app.connect()]);
    apps.length = 0;
    await app.running.app.close();
    await until(() => clients.every(({ isClosed }) => isClosed), 'all are closed');
    expect(app.sockets.ofUser('ada')).toEqual([]);
  });
});

describe.each(stackPerLibrary)('what is known of sockets: %s', (_title, stack) => {
  it('SessionSockets gives those of a session and of a user, and what each is for', async () => {
    const app = await run(stack);
    const [one, two] = [
      await app.cookie({ userId: 'ada', data: { n: 1 } }),
      await app.cookie({ userId: 'ada' }),
    ];
    const clients = [await app.connect(one), await app.connect(one), await app.connect(two)];
    await app.connect();
    const info = { handle: handleOf(one), userId: 'ada', data: { n: 1 } };
    expect(app.sockets.of(handleOf(one)).map((socket) => app.sockets.info(socket))).toEqual([info, info]);
    expect(app.sockets.ofUser('ada')).toHaveLength(3);
    expect([app.sockets.of('nobody'), app.sockets.ofUser('nobody'), app.sockets.close('nobody')]).toEqual([
      [],
      [],
      0,
    ]);
    expect(seen).toEqual([
      ['connected', info],
      ['connected', info],
      ['connected', { handle: handleOf(two), userId: 'ada', data: {} }],
      ['connected', undefined],
    ]);
    seen.length = 0;
    clients[0]!.close();
    await until(() => seen.length === 1, 'the gateway is told');
    await app.store.revoke(handleOf(two));
    await until(() => seen.length === 2, 'the gateway is told again');
    expect(seen).toEqual([
      ['disconnected', info],
      ['disconnected', { handle: handleOf(two), userId: 'ada', data: {} }],
    ]);
    expect(app.sockets.ofUser('ada')).toHaveLength(1);
    expect(app.sockets.close(handleOf(one))).toBe(1);
    expect(await app.store.load(one.slice(4))).toBeDefined();
  });

  it('a socket whose session ends while it opens is closed', async () => {
    const app = await run(stack);
    const cookie = await app.cookie();
    const registry = SocketRegistry.of(app.running.app.get(Exchanges).sessions);
    const add = registry.add.bind(registry);
    // The session was read, and nobody listens for its end yet.
    jest.spyOn(registry, 'add').mockImplementationOnce((...args) => {
      app.store.revoke(handleOf(cookie)).then(
        () => add(...args),
        () => undefined,
      );
    });
    expect(await (await app.connect(cookie)).ended()).toBe(true);
    expect(app.sockets.of(handleOf(cookie))).toEqual([]);
  });

  it('messages that arrive after the end reach no handler', async () => {
    const app = await run(stack);
    const client = await app.connect(await app.cookie());
    const [socket] = app.sockets.ofUser('ada');
    app.sockets.close(app.sockets.info(socket)!.handle);
    seen.length = 0;
    if (stack.library === 'ws') socket.emit('message', Buffer.from('{"event":"plain"}'), false);
    else socket.onevent({ data: ['plain'] });
    expect(await client.ended()).toBe(true);
    expect(seen).not.toContain('plain');
  });
});

/** Two applications on one storage that does not tell one of what the other did. */
async function twoNodes(stack: SocketStack, options: Partial<SocketAppOptions> = {}, without?: string) {
  const { storage, probe } = stack.kind.make();
  const of = (name: string) => {
    const value = (storage as any)[name];
    return typeof value === 'function' ? value.bind(storage) : value;
  };
  const shown = new Proxy({}, { get: (_, name: string) => (name === without ? undefined : of(name)) });
  const made = { storage: shown as typeof storage, probe };
  const kind = { ...stack.kind, make: () => made };
  const nodes = [];
  for (let i = 0; i < 2; i++) nodes.push(await run({ ...stack, kind }, options));
  return { here: nodes[0]!, there: nodes[1]!, probe };
}

describe.each(stackPerLibrary)(
  'ends on another node, of which the storage does not tell: %s',
  (_title, stack) => {
    const often = { sockets: { checkEvery: 0.1 } };
    const ended = (clients: Client[]) => Promise.all(clients.map((client) => client.ended()));

    it('are found by one call for all handles (S64)', async () => {
      const { here, there, probe } = await twoNodes(stack, often);
      const cookies = await Promise.all(['ada', 'bob', 'eve'].map((userId) => here.cookie({ userId })));
      const clients = await Promise.all(
        cookies.flatMap((cookie) => [here.connect(cookie), here.connect(cookie)]),
      );
      probe.forget();
      await until(() => probe.calls.length > 1, 'the storage is asked twice');
      expect(probe.names.slice(0, 2)).toEqual(['alive', 'alive']);
      expect([...probe.calls[0]!.args[0]].toSorted()).toEqual(cookies.map(handleOf).toSorted());
      await there.store.destroyByUser('ada');
      expect(await ended(clients.slice(0, 2))).toEqual([true, true]);
      expect(await clients[2]!.ask('who')).toEqual(answer('bob'));
    });

    it('are found by single reads where the storage cannot say it at once (S64)', async () => {
      const { here, there, probe } = await twoNodes(stack, often, 'alive');
      const cookie = await here.cookie();
      const clients = [await here.connect(cookie)];
      await there.store.destroy(cookie.slice(4));
      expect(await ended(clients)).toEqual([true]);
      expect(probe.names).toContain('read');
    });

    it('a login is found too, and by the next message before that (S56)', async () => {
      const { here, there } = await twoNodes(stack, often);
      const cookie = await here.cookie({});
      const clients = [await here.connect(cookie)];
      await there.running.client().get('/login/ada', { cookie });
      expect(await ended(clients)).toEqual([true]);
    });

    it('a message of a session that went to another user runs nothing (S56)', async () => {
      const { here, there } = await twoNodes(stack);
      const cookie = await here.cookie({});
      const client = await here.connect(cookie);
      await there.running.client().get('/login/ada', { cookie });
      expect(await client.ask('who')).toMatchObject({
        event: 'exception',
        data: { message: 'Unauthorized' },
      });
      expect(await client.ended()).toBe(true);
    });

    it('a storage that fails closes nothing, and is asked again', async () => {
      const { here, there, probe } = await twoNodes(stack, often);
      const cookie = await here.cookie();
      const client = await here.connect(cookie);
      probe.forget();
      probe.fail('alive', { times: 2 });
      await until(() => probe.of('alive').length === 2, 'the storage is asked');
      expect(client.isClosed).toBe(false);
      await there.store.destroy(cookie.slice(4));
      expect(await client.ended()).toBe(true);
    });

    it('no more than 500 handles go into one call, and none is made without sockets', async () => {
      const { here, probe } = await twoNodes(stack, { sockets: { checkEvery: 0.3 } });
      const cookies = await Promise.all(
        Array.from({ length: 510 }, (_, i) => here.cookie({ userId: `u${i}` })),
      );
      for (let i = 0; i < cookies.length; i += 30) {
        await Promise.all(cookies.slice(i, i + 30).map((cookie) => here.connect(cookie)));
      }
      probe.forget();
      await until(() => probe.calls.length > 1, 'the storage is asked');
      expect(
        probe.calls
          .slice(0, 2)
          .map(({ args }) => args[0].length)
          .toSorted(),
      ).toEqual([10, 500]);
      for (const cookie of cookies) here.sockets.close(handleOf(cookie));
      probe.forget();
      await new Promise((resolve) => setTimeout(resolve, 700));
      expect(probe.calls).toEqual([]);
    });
  },
);
