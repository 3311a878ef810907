import type { SessionStorage } from '../storage/session-storage.js';
import type { Awaitable } from '../awaitable.js';
import { runner } from './runner.js';
import { describeAlive } from './storage-contract/alive.js';
import type { OptionalMember, StorageBench } from './storage-contract/bench.js';
import { ContractClock } from './storage-contract/clock.js';
import { describeData } from './storage-contract/data.js';
import { describeExpectations } from './storage-contract/expectations.js';
import { describeExpiry } from './storage-contract/expiry.js';
import { describeList } from './storage-contract/list.js';
import { describeLocks } from './storage-contract/locks.js';
import { describeMembers } from './storage-contract/members.js';
import { describeNodes } from './storage-contract/nodes.js';
import { describePurge } from './storage-contract/purge.js';
import { describeRaces } from './storage-contract/races.js';
import { describeRecords } from './storage-contract/records.js';
import { describeUpdates } from './storage-contract/updates.js';
import { describeUsers } from './storage-contract/users.js';

const { afterEach, beforeEach, describe } = runner;

export type { OptionalMember } from './storage-contract/bench.js';

/** What the suite has to know about a storage beyond the contract. */
export interface StorageCapabilities {
  /**
   * `'injected'` (the default): the storage takes its time from `now` alone. `'real'`: something else keeps
   * it, as when a database expires records by itself; the suite then waits for short real deadlines, and
   * asks of purge and count only what such a storage can say.
   */
  readonly clock?: 'injected' | 'real' | undefined;
  /**
   * Another node's storage on the same records. With it, races and locks between nodes are tested; left out, the
   * storage promises its users nothing of these beyond one process.
   */
  readonly second?:
    ((storage: SessionStorage, context: StorageContext) => Awaitable<SessionStorage>) | undefined;
  /** Optional methods that the storage lacks. One that is missing and not named here fails. */
  readonly without?: readonly OptionalMember[] | undefined;
  /** Runs after each test, before the storage is closed: the place to drop what the test left. */
  readonly cleanup?: ((storage: SessionStorage) => Awaitable<void>) | undefined;
}

/** What the suite gives a new storage. */
export interface StorageContext {
  /** The suite's clock: milliseconds since the Unix epoch. */
  readonly now: () => number;
}

/** Makes a fresh, empty storage for one test. */
export type StorageFactory = (context: StorageContext) => Awaitable<SessionStorage>;

/**
 * The contract of {@link SessionStorage} as a test suite, races included, for jest and whatever has its
 * globals (`describe`, `it`, `beforeEach`, `afterEach`, `expect`). The numbers in the titles are those of
 * the security rules that a test covers.
 *
 * Each test gets its own storage from `factory`; the suite calls `open` and `close` on it.
 *
 * @example
 * describeSessionStorage('MyStorage', ({ now }) => new MyStorage({ now }));
 *
 * @example
 * // A database that several processes share, and that cannot go through all sessions page by page
 * describeSessionStorage('MyStorage', ({ now }) => new MyStorage(database, { now }), {
 *   second: (_first, { now }) => new MyStorage(otherConnection, { now }),
 *   without: ['list'],
 *   cleanup: () => database.query('delete from sessions'),
 * });
 */
export function describeSessionStorage(
  name: string,
  factory: StorageFactory,
  { clock: kind = 'injected', second, without = [], cleanup }: StorageCapabilities = {},
): void {
  describe(`${name} as a session storage`, () => {
    const bench: StorageBench = { clock: undefined!, storage: undefined!, second: undefined!, without };

    beforeEach(async () => {
      bench.clock = new ContractClock(kind);
      const { clock } = bench;
      const context = { now: () => clock.now() };
      bench.storage = await factory(context);
      await bench.storage.open();
      if (second) {
        bench.second = await second(bench.storage, context);
        await bench.second.open();
      }
    });

    afterEach(async () => {
      await cleanup?.(bench.storage);
      if (second) await bench.second.close();
      await bench.storage.close();
    });

    const has = (member: OptionalMember) => !without.includes(member);
    describeMembers(bench);
    describeRecords(bench);
    describeUpdates(bench);
    describeExpectations(bench);
    describeData(bench);
    describeRaces(bench);
    describeExpiry(bench);
    if (kind === 'injected' && has('purgeExpired')) describePurge(bench);
    if (has('byUser')) describeUsers(bench);
    if (has('alive')) describeAlive(bench);
    if (has('list')) describeList(bench);
    describeLocks(bench);
    if (second) describeNodes(bench);
  });
}
