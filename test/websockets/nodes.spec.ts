import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { Redis } from 'ioredis';
import { RedisStorage } from 'nest-sessions/redis';
import { MemoryStorage, Session } from '../../src/index.js';
import { RedisBench } from '../storage/redis/support/bench.js';
import { describeWithServer } from '../storage/redis/support/server.js';
import type { AnySession } from '../support/app.js';
import { BasicController } from '../support/basic.js';
import { Probe } from '../support/storages.js';
import { answer, libraries, type SocketApp, startSockets } from './support.js';

@WebSocketGateway()
class Gateway {
  @SubscribeMessage('write')
  write(@Session() session: AnySession) {
    session.set('n', 1);
    return answer(session.userId);
  }
}

describeWithServer('sockets of two nodes on one Redis that tells', () => {
  const bench = RedisBench.set();
  let connections: Redis[];
  let nodes: SocketApp[] = [];

  beforeEach(() => {
    connections = [new Redis(bench.server.url), new Redis(bench.server.url)];
  });
  afterEach(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    for (const redis of connections) redis.disconnect();
  });

  const start = async (library: (typeof libraries)[number]) => {
    nodes = await Promise.all(
      connections.map((redis) => {
        const storage = new RedisStorage(redis, { prefix: bench.prefix, events: true });
        const unused = new MemoryStorage();
        const kind = {
          name: 'Redis',
          asynchronous: true,
          make: () => ({ storage, probe: new Probe(unused, unused) }),
        };
        return startSockets(
          { platform: 'fastify', kind, library },
          { gateways: [Gateway], controllers: [BasicController], sockets: { checkEvery: '10m' } },
        );
      }),
    );
    return nodes as [SocketApp, SocketApp];
  };

  it.each(libraries)(
    '%s: a logout on one closes the sockets on both within a second (S64)',
    async (library) => {
      const [here, there] = await start(library);
      const cookie = await here.cookie();
      const clients = [await here.connect(cookie), await there.connect(cookie)];
      expect(await Promise.all(clients.map((client) => client.ask('write')))).toEqual([
        answer('ada'),
        answer('ada'),
      ]);
      const begun = performance.now();
      await here.running.client().get('/logout', { cookie });
      expect(await Promise.all(clients.map((client) => client.ended()))).toEqual([true, true]);
      expect(performance.now() - begun).toBeLessThan(1_000);
    },
  );

  it.each(libraries)('%s: a login on one closes the sockets of before on both (S56)', async (library) => {
    const [here, there] = await start(library);
    const cookie = await here.cookie({});
    const clients = [await here.connect(cookie), await there.connect(cookie)];
    const browser = here.running.client();
    await browser.get('/rotate', { cookie });
    expect(await clients[1]!.ask('write')).toMatchObject({ event: 'answer' });
    const begun = performance.now();
    await browser.get('/login/ada');
    expect(await Promise.all(clients.map((client) => client.ended()))).toEqual([true, true]);
    expect(performance.now() - begun).toBeLessThan(1_000);
  });
});
