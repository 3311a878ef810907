import { afterAll, afterEach, beforeAll, beforeEach, jest } from '@jest/globals';
import { Redis } from 'ioredis';
import { RedisStorage } from '../../../../src/storage/redis/index.js';
import type { StorageEvent } from '../../../../src/storage/session-storage.js';
import { newPrefix } from './records.js';
import { Server } from './server.js';

/** A server, a client of ioredis, and for each test a storage that is new, with keys of its own. */
export class RedisBench {
  server!: Server;
  redis!: Redis;
  prefix!: string;
  storage!: RedisStorage;
  /** What the storage told of. */
  events!: StorageEvent[];

  /** To be called once in a `describe`. */
  static set(): RedisBench {
    const bench = new RedisBench();
    beforeAll(async () => {
      bench.server = await Server.start();
      bench.redis = new Redis(bench.server.url);
    });
    afterAll(async () => {
      bench.redis.disconnect();
      await bench.server.remove();
    });
    beforeEach(() => {
      bench.prefix = newPrefix();
      bench.storage = new RedisStorage(bench.redis, { prefix: bench.prefix });
      bench.events = [];
      bench.storage.subscribe((event) => bench.events.push(event));
    });
    afterEach(() => {
      jest.restoreAllMocks();
      return bench.storage.close();
    });
    return bench;
  }

  keyOf(handle: string): string {
    return `${this.prefix}{${handle}}`;
  }

  async keys(): Promise<string[]> {
    return (await this.redis.keys(`${this.prefix}*`)).sort();
  }

  /** How often each command was called by `work`, those of scripts included. */
  async commands(work: () => Promise<unknown>): Promise<Record<string, number>> {
    await this.redis.config('RESETSTAT');
    await work();
    const stats = await this.redis.info('commandstats');
    const calls = [...stats.matchAll(/cmdstat_([^:]+):calls=(\d+)/g)];
    return Object.fromEntries(
      calls.map(([, name, count]) => [name, Number(count)]).filter(([name]) => name !== 'config|resetstat'),
    );
  }
}
