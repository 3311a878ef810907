import { inspect } from 'node:util';
import { SessionOptionsError } from '../../errors.js';
import { type IoredisClient, IoredisPort, isIoredis } from './ioredis-port.js';
import { isNodeRedis, type NodeRedisClient, NodeRedisPort } from './node-redis-port.js';
import type { RedisPort } from './port.js';

/** `Redis` or `Cluster` of ioredis, or a client or cluster of node-redis. */
export type RedisClient = IoredisClient | NodeRedisClient;

/** @throws {SessionOptionsError} when it is the client of neither package */
export function portOf(client: RedisClient, timeout: number, owned: boolean): RedisPort {
  if (typeof client === 'object' && client !== null) {
    if (isIoredis(client)) return new IoredisPort(client, timeout, owned);
    if (isNodeRedis(client)) return new NodeRedisPort(client, timeout);
  }
  throw new SessionOptionsError(
    'RedisStorage takes a client of ioredis (new Redis(), new Cluster()) or of redis (createClient(), ' +
      `createCluster()); got ${typeof client === 'string' ? 'a string: for a URL, use RedisStorage.connect(url)' : inspect(client, { depth: -1 })}.`,
  );
}
