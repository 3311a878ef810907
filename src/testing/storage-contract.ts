import type { SessionStorage } from '../storage/session-storage.js';
import type { Awaitable } from '../awaitable.js';
import { runner } from './runner.js';
import { ContractClock } from './storage-contract/contract-clock.js';
import { describeExpiry } from './storage-contract/expiry.js';
import { describeLocks } from './storage-contract/locks.js';
import { describeNodes } from './storage-contract/nodes.js';
import { describeOddities } from './storage-contract/oddities.js';
import { describePurge } from './storage-contract/purge.js';
import { describeRaces } from './storage-contract/races.js';
import { describeRecords } from './storage-contract/records.js';
import type { StorageBench } from './storage-contract/storage-bench.js';
import { describeUpdates } from './storage-contract/updates.js';
import { describeUsers } from './storage-contract/users.js';

const { afterEach, beforeEach, describe } = runner;

/** What the suite has to know about a storage beyond the contract. */
export interface StorageCapabilities {
  /**
   * `'injected'` (the default): the storage takes its time from `now` alone. `'real'`: something else keeps
   * it, as when a database expires records by itself; the suite then waits for short real deadlines, and
   * asks of purge and count only what such a storage can say.
   */
  readonly clock?: 'injected' | 'real' | undefined;
  /** Another node's storage on the same records. With it, races and locks between nodes are tested. */
  readonly second?: ((storage: SessionStorage) => Awaitable<SessionStorage>) | undefined;
  /** Runs after each test, before the storage is closed: the place to drop what the test left. */
  readonly cleanup?: ((storage: SessionStorage) => Awaitable<void>) | undefined;
}

/** Makes a fresh, empty storage for one test. `now` is the suite's clock, in milliseconds since the epoch. */
export type StorageFactory = (context: { readonly now: () => number }) => Awaitable<SessionStorage>;

/**
 * The contract of {@link SessionStorage} as a test suite, races included, for jest and whatever has its
 * globals (`describe`, `it`, `beforeEach`, `afterEach`, `expect`). The numbers in the titles are those of
 * the security rules that a test covers.
 *
 * Each test gets its own storage from `factory`; the suite calls `open` and `close` on it.
 *
 * @example
 * describeSessionStorage('MyStorage', ({ now }) => new MyStorage({ now }));
 */
export function describeSessionStorage(
  name: string,
  factory: StorageFactory,
  { clock: kind = 'injected', second, cleanup }: StorageCapabilities = {},
): void {
  describe(`${name} as a session storage`, () => {
    const bench: StorageBench = { clock: undefined!, storage: undefined!, second: undefined! };

    beforeEach(async () => {
      bench.clock = new ContractClock(kind);
      const { clock } = bench;
      bench.storage = await factory({ now: () => clock.now() });
      await bench.storage.open();
      if (second) {
        bench.second = await second(bench.storage);
        await bench.second.open();
      }
    });

    afterEach(async () => {
      await cleanup?.(bench.storage);
      if (second) await bench.second.close();
      await bench.storage.close();
    });

    describeRecords(bench);
    describeUpdates(bench);
    describeRaces(bench);
    describeExpiry(bench);
    if (kind === 'injected') describePurge(bench);
    describeUsers(bench);
    describeOddities(bench);
    describeLocks(bench);
    if (second) describeNodes(bench);
  });
}
