import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { Redis } from 'ioredis';
import { SessionModule, SessionStore } from '../../../src/index.js';
import { RedisStorage } from '../../../src/storage/redis/index.js';
import { buildSources } from '../../support/build.js';
import { NodeProcess } from './support/node-process.js';
import { newPrefix } from './support/records.js';
import { describeWithServer, Server } from './support/server.js';

describeWithServer('logins of one user on four processes', () => {
  let server: Server;
  let redis: Redis;
  let sources: ReturnType<typeof buildSources>;
  let nodes: NodeProcess[];
  let module: TestingModule;
  let store: SessionStore;
  const prefix = newPrefix();

  beforeAll(async () => {
    sources = buildSources();
    server = await Server.start();
    redis = new Redis(server.url);
    const options = { directory: sources.directory, port: server.port, prefix };
    const clients = ['ioredis', 'node-redis', 'ioredis', 'node-redis'];
    nodes = await Promise.all(clients.map((client) => NodeProcess.start({ ...options, client })));
    const storage = new RedisStorage(redis, { prefix });
    module = await Test.createTestingModule({
      imports: [SessionModule.forRoot({ storage, purge: false })],
    }).compile();
    store = (await module.init()).get(SessionStore);
  }, 60_000);
  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await module.close();
    redis.disconnect();
    sources.remove();
    await server.remove();
  }, 20_000);

  it('leave exactly as many as there may be, each of which lives (S66)', async () => {
    const order = async (node: NodeProcess) => {
      const sessions = await Promise.all(Array.from({ length: 10 }, () => store.create()));
      const ids = sessions.map(({ id }) => id);
      return node.do('login', { ids, userId: 'ada', options: { maxPerUser: 3 } }) as Promise<string[]>;
    };
    for (let round = 0; round < 3; round++) {
      const ids = (await Promise.all(nodes.map(order))).flat();
      const live = await Promise.all(ids.map((id) => store.load(id)));
      const handles = live.filter((session) => session?.userId === 'ada').map((session) => session!.handle);
      expect(handles).toHaveLength(3);
      expect((await store.listByUser('ada')).map(({ handle }) => handle).toSorted()).toEqual(
        handles.toSorted(),
      );
    }
    expect((await redis.keys(`${prefix}*:l*`)).filter((key) => /:(lock|line)$/.test(key))).toEqual([]);
  }, 60_000);
});
