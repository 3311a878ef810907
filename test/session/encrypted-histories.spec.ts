import { afterEach, beforeEach, it } from '@jest/globals';
import { after } from '../../src/awaitable.js';
import { Exchanges } from '../../src/http/exchanges.js';
import { MemoryStorage } from '../../src/index.js';
import type { SessionChange, SessionRecord } from '../../src/index.js';
import { ValueCipher } from '../../src/session/value-cipher.js';
import { freezeTime, unfreezeTime } from '../support/clock.js';
import { OPTIONS, runMany, SlowStorage } from '../support/histories/index.js';
import { open } from '../support/session-bench.js';
import { Probe } from '../support/storages.js';

const encryption = { keys: ['a key'] };
const cipher = new ValueCipher(encryption);

/** What the core sees is sealed, each time in another way; what the ledger of histories sees is open. */
class OpenStorage extends SlowStorage {
  override create(record: SessionRecord) {
    return super.create({ ...record, data: openedIn(record.handle, record.data) });
  }

  override update(handle: string, change: SessionChange) {
    return super.update(handle, { ...change, set: openedIn(handle, change.set ?? {}) });
  }

  override read(handle: string) {
    return after(super.read(handle), (record) => record && cipher.sealAll(handle, record));
  }
}

function openedIn(handle: string, texts: Readonly<Record<string, string>>): Record<string, string> {
  const opened = Object.entries(texts).map(([key, text]) => {
    const plain = cipher.open(text, handle, `data:${key}`);
    if (plain === undefined) throw new Error(`${key} came as it is, or sealed for another place`);
    return [key, plain] as const;
  });
  return Object.fromEntries(opened);
}

beforeEach(freezeTime);
afterEach(unfreezeTime);

it('histories hold with encryption, though no text is ever the same twice', async () => {
  const storages = [new OpenStorage(0), new OpenStorage(1)];
  const nodes = [];
  for (const storage of storages) {
    const unused = new MemoryStorage();
    const probe = new Probe(unused, unused);
    const { module, store } = await open('memory storage', { ...OPTIONS, encryption }, { storage, probe });
    nodes.push({ store, exchanges: module.get(Exchanges) });
  }
  const count = Number(process.env['HISTORIES'] ?? 100);
  await runMany(count, Number(process.env['HISTORY_SEED'] ?? 1), { nodes, storages });
}, 600_000);
