// oxlint-disable no-new -- what the page shows is the making of a storage, not what is done with it
import { readFileSync } from 'node:fs';
import { Cluster, Redis } from 'ioredis';
import { SessionModule, type SessionStore } from 'nest-sessions';
import { RedisStorage } from 'nest-sessions/redis';
import { createClient, createCluster } from 'redis';

/** Servers that no test of the documents has: this is compiled, and test/storage/redis runs its like. */
export function connected() {
  SessionModule.forRootAsync({
    useFactory: async () => ({
      storage: await RedisStorage.connect('redis://user:password@db.internal:6379/0'),
    }),
  });
}

// The lines are those of the page.
// prettier-ignore
export async function clients() {
  // Sentinel
  new RedisStorage(
    new Redis({
      sentinels: [
        { host: 'sentinel-1', port: 26379 },
        { host: 'sentinel-2', port: 26379 },
        { host: 'sentinel-3', port: 26379 },
      ],
      name: 'mymaster',
      password: process.env.REDIS_PASSWORD,
    }),
  );

  // Cluster: some of the nodes are enough
  new RedisStorage(
    new Cluster(
      [
        { host: 'node-1', port: 6379 },
        { host: 'node-2', port: 6379 },
      ],
      { slotsRefreshInterval: 5_000, redisOptions: { password: process.env.REDIS_PASSWORD } },
    ),
  );

  // TLS
  new RedisStorage(new Redis('rediss://db.internal:6380', { tls: { ca: readFileSync('ca.pem') } }));
  await RedisStorage.connect('rediss://db.internal:6380', { client: { tls: { ca: readFileSync('ca.pem') } } });

  // node-redis; where nobody listens to its errors, the storage does
  new RedisStorage(createClient({ url: process.env.REDIS_URL, socket: { socketTimeout: 5_000 } }));
  new RedisStorage(
    createCluster({ rootNodes: [{ url: 'redis://node-1:6379' }, { url: 'redis://node-2:6379' }] }),
  );
}

export function hangUp(store: SessionStore, sockets: { closeAll(handle: string | undefined): void }) {
  store.events.subscribe(({ type, handle }) => {
    if (type === 'destroyed' || type === 'expired') sockets.closeAll(handle);
  });
}
