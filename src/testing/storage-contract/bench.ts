import { randomBytes } from 'node:crypto';
import type { SessionChange, SessionStorage } from '../../storage/session-storage.js';
import type { SessionRecord } from '../../storage/record.js';
import { runner } from '../runner.js';
import type { ContractClock } from './clock.js';

export const HOUR = 3_600_000;

/** The methods that a storage may lack. */
export const OPTIONAL = ['purgeExpired', 'count', 'byUser', 'alive', 'list', 'ping'] as const;
export type OptionalMember = (typeof OPTIONAL)[number];

/** What a test works with; new for each test. */
export interface StorageBench {
  clock: ContractClock;
  storage: SessionStorage;
  /** Another node on the same records, where the storage has such. */
  second: SessionStorage;
  /** What the storage says it lacks. */
  readonly without: readonly OptionalMember[];
}

/**
 * An optional method of a storage.
 *
 * @throws {Error} when it is missing, and nobody said so
 */
export function memberOf<K extends OptionalMember>(
  storage: SessionStorage,
  name: K,
): NonNullable<SessionStorage[K]> {
  const member: unknown = storage[name];
  if (typeof member === 'function') return member.bind(storage) as NonNullable<SessionStorage[K]>;
  throw new Error(
    `${storage.constructor.name} has no ${name}(). ` +
      `Write it, or tell the suite that it is missing: describeSessionStorage(…, { without: ['${name}'] }).`,
  );
}

/** The user has these sessions and no others. Passes where the storage says that it cannot tell. */
export async function expectUser(
  bench: StorageBench,
  userId: string,
  sessions: readonly { readonly handle: string }[],
  storage = bench.storage,
): Promise<void> {
  if (bench.without.includes('byUser')) return;
  runner.expect(handlesOf(await memberOf(storage, 'byUser')(userId))).toEqual(handlesOf(sessions));
}

/** There are so many records. Passes where the storage says that it cannot tell. */
export async function expectCount(
  bench: StorageBench,
  count: number,
  storage = bench.storage,
): Promise<void> {
  if (bench.without.includes('count')) return;
  runner.expect(await memberOf(storage, 'count')()).toBe(count);
}

/** Removes what has expired, where that is the library's to do. */
export async function purge(bench: StorageBench, limit = 100): Promise<number> {
  return bench.without.includes('purgeExpired') ? 0 : memberOf(bench.storage, 'purgeExpired')(limit);
}

export function newHandle(): string {
  return randomBytes(16).toString('base64url');
}

export function newProof(): string {
  return randomBytes(32).toString('base64url');
}

/** A session that lasts an hour. Frozen all through: a storage that changes what it was given throws. */
export function newRecord(clock: ContractClock, fields: Partial<SessionRecord> = {}): SessionRecord {
  const now = clock.now();
  return Object.freeze({
    handle: newHandle(),
    proof: newProof(),
    createdAt: now,
    touchedAt: now,
    expiresAt: now + HOUR,
    ...fields,
    data: Object.freeze(fields.data ?? { visits: '1' }),
  });
}

/** Stores a new session and gives what was stored. */
export async function given(bench: StorageBench, fields?: Partial<SessionRecord>): Promise<SessionRecord> {
  const record = newRecord(bench.clock, fields);
  runner.expect(await bench.storage.create(record)).toBe(true);
  return record;
}

export function frozen(change: SessionChange): SessionChange {
  return Object.freeze({
    ...change,
    ...(change.set && { set: Object.freeze(change.set) }),
    ...(change.remove && { remove: Object.freeze([...change.remove]) }),
    ...(change.expected && { expected: Object.freeze(change.expected) }),
  });
}

/** Starts all of them before the first one can go on: none has an advantage. */
export async function atOnce<T>(...tasks: (() => T)[]): Promise<Awaited<T>[]> {
  let open!: () => void;
  const barrier = new Promise<void>((resolve) => (open = resolve));
  const started = tasks.map(async (task) => {
    await barrier;
    return await task();
  });
  open();
  return await Promise.all(started);
}

export function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

/** How often each answer was given. */
export function tally(answers: readonly unknown[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const answer of answers) counts[String(answer)] = (counts[String(answer)] ?? 0) + 1;
  return counts;
}

export function handlesOf(records: readonly { readonly handle: string }[]): string[] {
  return records.map((record) => record.handle).toSorted();
}

/** Data as pairs, in order of the keys: equal only if every key is an own one (S48). */
export function pairsOf(data: SessionRecord['data'] | undefined): [string, string][] {
  return Object.entries(data ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1));
}
