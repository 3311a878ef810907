import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  MemoryStorage,
  SessionError,
  SessionOptionsError,
  SessionStorageError,
  type SessionInfo,
} from '../../src/index.js';
import { Exchanges } from '../../src/http/exchanges.js';
import { mark } from '../../src/session/adopt.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';
import { type Bag, type Bench, failureOf, kinds, open, storageOf } from '../support/session-bench.js';

beforeEach(freezeTime);
afterEach(unfreezeTime);

describe.each(kinds)('all sessions, a page at a time: %s', (kind) => {
  let bench: Bench;

  beforeEach(async () => {
    bench = await open(kind, { touchAfter: 0 });
  });

  async function all(limit?: number): Promise<SessionInfo<Bag>[]> {
    const found: SessionInfo<Bag>[] = [];
    let cursor: string | undefined;
    do {
      const page = await bench.store.list({ limit, cursor });
      found.push(...page.sessions);
      cursor = page.cursor;
    } while (cursor !== undefined);
    return found;
  }

  it('each is on a page, of users and visitors, as in the list of a user', async () => {
    expect(await bench.store.list()).toEqual({ sessions: [], cursor: undefined });
    for (let i = 0; i < 7; i++)
      await bench.store.create({ data: { i }, ...(i % 2 ? { userId: 'ada' } : {}) });
    for (const limit of [1, 3, 7, 1_000, undefined]) {
      const infos = await all(limit);
      expect(infos.map(({ data }) => data.i).toSorted()).toEqual([0, 1, 2, 3, 4, 5, 6]);
    }
    const ofAda = (await all()).filter(({ userId }) => userId === 'ada');
    const byHandle = (a: SessionInfo<Bag>, b: SessionInfo<Bag>) => (a.handle < b.handle ? -1 : 1);
    expect(ofAda.toSorted(byHandle)).toEqual((await bench.store.listByUser('ada')).toSorted(byHandle));
    expect((await bench.store.list({ limit: 3 })).sessions).toHaveLength(3);
  });

  it('nothing in it can be replayed, and to list them is no use of them (S8, S33)', async () => {
    const { id, handle } = await bench.store.create({ userId: 'ada' });
    const before = bench.probe.peek(handle);
    passTime(60_000);
    const shown = inspect(await bench.store.list(), { depth: Infinity });
    expect(shown).toContain(handle);
    expect(shown).not.toContain(id.slice(23));
    expect(shown).not.toContain(before!.proof);
    expect(bench.probe.peek(handle)).toEqual(before);
  });

  it('one that has expired is on none, nor one past the absolute timeout (S25)', async () => {
    await bench.store.create({ ttl: '1m' });
    await bench.store.create();
    passTime(60_000);
    expect(await all()).toHaveLength(1);
  });

  it('what an importer remembers of a session is none, and on no page (S70)', async () => {
    const { storage } = bench.module.get(Exchanges).sessions;
    expect(await mark(storage, 'M'.repeat(21) + 'A', Date.now() + 60_000)).toBe(true);
    const { handle } = await bench.store.create();
    expect((await all()).map((info) => info.handle)).toEqual([handle]);
  });

  it.each([
    [{ limit: 0 }, /list: limit must be a whole number from 1 to 1,000; got 0/],
    [{ limit: 1.5 }, /got 1.5/],
    [{ limit: 1_001 }, /got 1001/],
    [{ limit: '10' }, /got "10"/],
    [{ cursor: '' }, /list: cursor must be the cursor of the page before/],
    [{ cursor: 7 }, /got 7/],
    [{ cursor: 'x\0y' }, /list: cursor/],
    [{ page: 2 }, /page is not an option/],
  ])('a page that is none is a clear error: %p', async (page, message) => {
    const error = await failureOf(() => bench.store.list(page as object));
    expect(error).toBeInstanceOf(SessionOptionsError);
    expect(error.message).toMatch(message);
  });

  it('a cursor that no page had is the caller’s mistake, and no failure of the storage', async () => {
    const error = await failureOf(() => bench.store.list({ cursor: 'nonsense' }));
    expect(error).not.toBeInstanceOf(SessionStorageError);
    expect([error.code, error.message]).toEqual(['ERR_SESSION', expect.stringMatching(/cursor/)]);
  });
});

it.each([
  [undefined, SessionError, /has no list\(\)/],
  [() => undefined, SessionStorageError, /Service Unavailable/],
  [() => ({ records: 'all' }), SessionStorageError, /Service Unavailable/],
])('a storage whose list is %p', async (list, kindOfError, message) => {
  const { probe } = storageOf('memory storage');
  const storage = Object.assign(new MemoryStorage(), { list });
  const { store } = await open('memory storage', {}, { storage, probe });
  const error = await failureOf(() => store.list());
  expect([error, error.message]).toEqual([expect.any(kindOfError), expect.stringMatching(message)]);
});
