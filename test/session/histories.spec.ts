import { afterEach, beforeEach, describe, it } from '@jest/globals';
import { Exchanges } from '../../src/http/exchanges.js';
import { MemoryStorage } from '../../src/index.js';
import { freezeTime, unfreezeTime } from '../support/clock.js';
import { type Nodes, OPTIONS, runMany, SlowStorage, trace } from '../support/histories/index.js';
import { open } from '../support/session-bench.js';
import { Probe } from '../support/storages.js';

beforeEach(freezeTime);
afterEach(unfreezeTime);

async function twoNodes(): Promise<Nodes> {
  const storages = [new SlowStorage(0), new SlowStorage(1)];
  const nodes = [];
  for (const storage of storages) {
    const unused = new MemoryStorage();
    const { module, store } = await open('memory storage', OPTIONS, {
      storage,
      probe: new Probe(unused, unused),
    });
    nodes.push({ store, exchanges: module.get(Exchanges) });
  }
  return { nodes, storages };
}

describe('histories', () => {
  it('hold', async () => {
    if (process.env['TRACE']) trace();
    const count = Number(process.env['HISTORIES'] ?? 2_000);
    const seed = Number(process.env['HISTORY_SEED'] ?? 1);
    await runMany(count, seed, await twoNodes());
  }, 600_000);
});
