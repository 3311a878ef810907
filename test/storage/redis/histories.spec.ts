import { afterEach, beforeEach, it } from '@jest/globals';
import { Exchanges } from '../../../src/http/exchanges.js';
import { MemoryStorage } from '../../../src/index.js';
import { RedisStorage } from '../../../src/storage/redis/index.js';
import { freezeTime, unfreezeTime } from '../../support/clock.js';
import { OPTIONS, runMany, SlowStorage } from '../../support/histories/index.js';
import { open } from '../../support/session-bench.js';
import { Probe } from '../../support/storages.js';
import { RedisBench } from './support/bench.js';
import { newPrefix } from './support/records.js';
import { describeWithServer } from './support/server.js';

describeWithServer('random histories', () => {
  const bench = RedisBench.set();
  beforeEach(freezeTime);
  afterEach(unfreezeTime);

  it('hold over Redis', async () => {
    const storages = [new SlowStorage(0), new SlowStorage(1)];
    const nodes = [];
    for (const storage of storages) {
      const unused = new MemoryStorage();
      const probe = new Probe(unused, unused);
      const { module, store } = await open('memory storage', OPTIONS, { storage, probe });
      nodes.push({ store, exchanges: module.get(Exchanges) });
    }
    const count = Number(process.env['HISTORIES'] ?? 100);
    const place = () => new RedisStorage(bench.redis, { prefix: newPrefix() });
    await runMany(count, Number(process.env['HISTORY_SEED'] ?? 1), { nodes, storages, place });
  }, 600_000);
});
