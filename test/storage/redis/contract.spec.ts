import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe } from '@jest/globals';
import { RedisStorage, type RedisStorageOptions } from '../../../src/storage/redis/index.js';
import type { SessionStorage } from '../../../src/storage/session-storage.js';
import { describeSessionStorage } from '../../../src/testing/storage-contract.js';
import { clientKinds, type TestClient } from './support/clients.js';
import { RedisCluster } from './support/cluster.js';
import { describeWithServer, Server } from './support/server.js';

/** Another node on the same records: a client, and so connections, of its own. */
const second = (storage: SessionStorage) => nodes.get(storage)!;
const nodes = new Map<SessionStorage, SessionStorage>();

function contract(name: string, connect: () => TestClient, options: RedisStorageOptions = {}): void {
  let clients: TestClient[];
  beforeAll(() => {
    clients = [connect(), connect()];
  });
  afterAll(() => {
    for (const client of clients) client.close();
    nodes.clear();
  });
  describeSessionStorage(
    name,
    () => {
      const prefix = `contract:${randomBytes(6).toString('hex')}:`;
      const [storage, other] = clients.map(({ client }) => new RedisStorage(client, { ...options, prefix }));
      nodes.set(storage, other);
      return storage;
    },
    { clock: 'real', second },
  );
}

for (const kind of clientKinds) {
  describeWithServer(`on one server, with ${kind.name}`, () => {
    let server: Server;
    beforeAll(async () => {
      server = await Server.start();
    });
    afterAll(() => server.remove());
    contract(`RedisStorage, ${kind.name}`, () => kind.single(server));
    // Redis keeps expired sessions for a while then, for the purge.
    if (kind.name === 'ioredis') {
      contract('RedisStorage with events', () => kind.single(server), { events: true });
    }
  });
}

describeWithServer('on a Cluster', () => {
  let cluster: RedisCluster;
  beforeAll(async () => {
    cluster = await RedisCluster.start();
  }, 30_000);
  afterAll(() => cluster.remove());

  describe.each(clientKinds)('with $name', (kind) => {
    contract(`RedisStorage, ${kind.name} Cluster`, () => kind.cluster(cluster));
  });
});
