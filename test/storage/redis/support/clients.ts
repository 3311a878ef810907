import { Cluster, Redis } from 'ioredis';
import { createClient, createCluster } from 'redis';
import type { RedisClient } from '../../../../src/storage/redis/index.js';
import type { RedisCluster } from './cluster.js';
import type { Server } from './server.js';

/** A client of one package, and how to be rid of it. */
export interface TestClient {
  readonly client: RedisClient;
  close(): void;
}

export interface ClientKind {
  readonly name: string;
  single(server: Pick<Server, 'port'>): TestClient;
  cluster(cluster: RedisCluster): TestClient;
}

const noop = () => undefined;

const ioredis: ClientKind = {
  name: 'ioredis',
  single({ port }) {
    const client = new Redis({ port, host: '127.0.0.1' }).on('error', noop);
    return { client, close: () => client.disconnect() };
  },
  cluster({ startup }) {
    const client = new Cluster(startup).on('error', noop);
    return { client, close: () => client.disconnect() };
  },
};

const nodeRedis: ClientKind = {
  name: 'node-redis',
  single({ port }) {
    const client = createClient({ url: `redis://127.0.0.1:${port}` });
    return { client, close: () => void (client.isOpen && client.destroy()) };
  },
  cluster({ startup }) {
    const rootNodes = startup.map(({ port }) => ({ url: `redis://127.0.0.1:${port}` }));
    const client = createCluster({ rootNodes });
    return { client, close: () => void (client.isOpen && client.destroy()) };
  },
};

export const clientKinds: readonly ClientKind[] = [ioredis, nodeRedis];
