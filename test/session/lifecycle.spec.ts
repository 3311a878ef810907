import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  SessionConflictError,
  SessionError,
  SessionGoneError,
  SessionStorageError,
} from '../../src/index.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';
import {
  type AnySession,
  type Bench,
  failureOf,
  kinds,
  loaded,
  open,
  secondNode,
  secretOf,
  visitor,
} from '../support/session-bench.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

beforeEach(freezeTime);
afterEach(unfreezeTime);

const inMs = (milliseconds: number) => new Date(Date.now() + milliseconds);

/** Which of these ids a new request could use. */
async function live({ store }: Bench, ...ids: string[]): Promise<string[]> {
  const found: string[] = [];
  for (const id of new Set(ids)) if (await store.load(id)) found.push(id);
  return found;
}

describe.each(kinds)('rotating: %s', (kind) => {
  let bench: Bench;
  let session: AnySession;
  let old: string;

  beforeEach(async () => {
    bench = await open(kind, { absoluteTtl: '8h' });
    ({ id: old } = await bench.store.create({ data: { n: 1 }, userId: 'ada' }));
    session = await loaded(bench, old);
  });

  it('regenerate gives the same session another secret, and the old id is dead at once (S11)', async () => {
    const { handle, createdAt, authenticatedAt } = session;
    passTime(MINUTE);
    await session.regenerate();
    expect(session.id).not.toBe(old);
    expect(secretOf(session.id)).not.toBe(secretOf(old));
    expect(await live(bench, old, session.id)).toEqual([session.id]);
    const again = await loaded(bench, session.id);
    expect(again.toJSON()).toEqual({ n: 1 });
    for (const each of [session, again]) {
      expect({
        handle: each.handle,
        userId: each.userId,
        createdAt: each.createdAt,
        authenticatedAt: each.authenticatedAt,
      }).toEqual({ handle, userId: 'ada', createdAt, authenticatedAt });
    }
    expect(await bench.store.count()).toBe(1);
  });

  it('the old id is dead on every node (S11, S26)', async () => {
    const node = await secondNode(kind, bench);
    expect(await live(node, old)).toEqual([old]);
    await session.regenerate();
    expect(await live(node, old, session.id)).toEqual([session.id]);
    expect(await node.store.destroy(old)).toBe(false);
  });

  it('each rotation kills the id before it', async () => {
    const ids = [old];
    for (let i = 0; i < 3; i++) {
      await session.regenerate();
      ids.push(session.id);
    }
    expect(new Set(ids).size).toBe(4);
    expect(await live(bench, ...ids)).toEqual([session.id]);
  });

  it('what was written before and after a rotation is saved', async () => {
    session.set('before', 1);
    await session.regenerate();
    session.set('after', 2);
    await session.save();
    expect((await loaded(bench, session.id)).toJSON()).toEqual({ n: 1, before: 1, after: 2 });
  });

  it('a rotation does not move the absolute deadline (S17)', async () => {
    for (let i = 0; i < 15; i++) {
      passTime(HOUR / 2);
      session.set('i', i);
      await session.save();
      await session.regenerate();
    }
    expect(session.expiresAt).toEqual(inMs(HOUR / 2));
    passTime(HOUR / 2 - 1);
    expect(await live(bench, session.id)).toEqual([session.id]);
    passTime(1);
    expect(await live(bench, session.id)).toEqual([]);
  });

  it('two rotations at once leave one live id (S14)', async () => {
    const other = await loaded(bench, old);
    await Promise.allSettled([session.regenerate(), other.regenerate()]);
    expect(await live(bench, old, session.id, other.id)).toHaveLength(1);
    expect(await live(bench, old)).toEqual([]);
  });

  it('a rotation and a login at once leave one live id, and never the old one (S14)', async () => {
    const other = await loaded(bench, old);
    await Promise.allSettled([session.regenerate(), other.login('grace')]);
    expect(await live(bench, old, session.id, other.id)).toHaveLength(1);
    expect(await live(bench, old)).toEqual([]);
  });

  it('who comes second does not hold an id that is live: it never gets the one of the other (S14)', async () => {
    const other = await loaded(bench, old);
    await session.regenerate();
    await failureOf(async () => {
      await other.regenerate();
      throw new Error('done');
    });
    expect(await live(bench, old, session.id, other.id)).toHaveLength(1);
    expect(bench.events.filter(({ type }) => type === 'rotated').length).toBeGreaterThan(0);
  });

  it.each<[deed: string, rotate: (session: AnySession) => Promise<void>]>([
    ['regenerate', (each) => each.regenerate()],
    ['login', (each) => each.login('grace')],
  ])(
    '%s that the storage fails leaves an id that works, and the session as it was (S18)',
    async (_d, rotate) => {
      bench.probe.fail('update');
      await expect(rotate(session)).rejects.toThrow(SessionStorageError);
      bench.probe.reset();
      expect(await live(bench, old)).toEqual([old]);
      expect((await loaded(bench, old)).userId).toBe('ada');
      expect(await live(bench, session.id)).toEqual([session.id]);
    },
  );

  it.each<[deed: string, rotate: (session: AnySession) => Promise<void>]>([
    ['regenerate', (each) => each.regenerate()],
    ['save', (each) => (each.set('n', 2), each.save())],
    ['tap', (each) => each.tap((data) => void data.n++)],
  ])(
    '%s of a session that ended meanwhile is SessionGoneError and brings nothing back (S27)',
    async (_d, deed) => {
      const { id: other } = session;
      await bench.store.destroy(other);
      await expect(deed(session)).rejects.toThrow(SessionGoneError);
      expect(await bench.store.isEmpty()).toBe(true);
    },
  );

  it('a login on a session that ended meanwhile starts a new one, with nothing of the old (S27)', async () => {
    session.set('n', 7);
    const { id: ended } = session;
    await bench.store.destroy(ended);
    await session.login('grace');
    expect([session.id === ended, session.userId, session.get('n')]).toEqual([false, 'grace', undefined]);
    expect([await live(bench, ended), await live(bench, session.id)]).toEqual([[], [session.id]]);
    expect(await bench.store.count()).toBe(1);
  });

  it.each([
    () => 'short',
    () => '',
    () => 'x'.repeat(257),
    () => `${'x'.repeat(30)};`,
    () => undefined,
    () => Promise.resolve('x'.repeat(43)),
  ])(
    'a generateId that goes wrong at a rotation is a clear error, and the old id works on (S1, S18)',
    async (wrong) => {
      let good = true;
      let n = 0;
      const generateId = () => (good ? `${'secret.'.repeat(4)}${n++}` : (wrong() as string));
      const own = await open(kind, { generateId });
      const { id } = await own.store.create();
      good = false;
      const each = await loaded(own, id);
      const error = await failureOf(() => each.regenerate());
      expect(error).toBeInstanceOf(SessionError);
      expect(error.message).toContain('generateId');
      expect(await live(own, id)).toEqual([id]);
      await expect(own.store.create()).rejects.toThrow(/generateId/);
      expect(await own.store.count()).toBe(1);
    },
  );

  it('regenerate of a visitor who has written nothing creates nothing (S52)', async () => {
    const fresh = await visitor(bench);
    const { id } = fresh;
    await fresh.regenerate();
    expect(await bench.store.count()).toBe(1);
    fresh.set('n', 1);
    await fresh.save();
    expect(fresh.id).not.toBe(id);
    expect(await live(bench, id, fresh.id)).toEqual([fresh.id]);
  });
});

describe.each(kinds)('logging in and out: %s', (kind) => {
  let bench: Bench;
  let session: AnySession;
  let old: string;

  beforeEach(async () => {
    bench = await open(kind, { absoluteTtl: '8h' });
    ({ id: old } = await bench.store.create({ data: { basket: [1] } }));
    session = await loaded(bench, old);
  });

  it('login rotates, binds the user, says when, and keeps the data (S11)', async () => {
    const { handle } = session;
    passTime(MINUTE);
    session.set('n', 1);
    await session.login('ada');
    expect(await live(bench, old, session.id)).toEqual([session.id]);
    for (const each of [session, await loaded(bench, session.id)]) {
      expect(each.handle).toBe(handle);
      expect(each.userId).toBe('ada');
      expect(each.authenticatedAt).toEqual(new Date());
      expect(each.toJSON()).toEqual({ basket: [1], n: 1 });
    }
    expect(await bench.store.count()).toBe(1);
    expect((await bench.store.listByUser('ada')).map((info) => info.handle)).toEqual([handle]);
  });

  it('logging in as somebody else rotates again, and the first user has no session any more (S12)', async () => {
    await session.login('ada');
    const first = session.id;
    await session.login('grace');
    expect(await live(bench, old, first, session.id)).toEqual([session.id]);
    expect(await bench.store.listByUser('ada')).toEqual([]);
    expect(await bench.store.listByUser('grace')).toHaveLength(1);
  });

  it('logging in again as the same user rotates as well (S11)', async () => {
    await session.login('ada');
    const first = session.id;
    passTime(MINUTE);
    await session.login('ada');
    expect(session.id).not.toBe(first);
    expect(await live(bench, first, session.id)).toEqual([session.id]);
    expect(session.authenticatedAt).toEqual(new Date());
  });

  it('login restarts both timeouts (S17)', async () => {
    for (let i = 0; i < 15; i++) {
      passTime(HOUR / 2);
      session.set('i', i);
      await session.save();
    }
    await session.login('ada');
    expect(session.expiresAt).toEqual(inMs(HOUR));
    for (let i = 0; i < 15; i++) {
      passTime(HOUR / 2);
      session.set('i', -i);
      await session.save();
    }
    expect(session.expiresAt).toEqual(inMs(HOUR / 2));
    passTime(HOUR / 2);
    expect(await live(bench, session.id)).toEqual([]);
  });

  it.each<[ttl: string | number, milliseconds: number]>([
    ['30m', HOUR / 2],
    [90, 90 * SECOND],
    ['2h', 2 * HOUR],
  ])('login takes an idle timeout: %s', async (ttl, milliseconds) => {
    await session.login('ada', { ttl });
    expect(session.expiresAt).toEqual(inMs(milliseconds));
    passTime(milliseconds - 1);
    const again = await loaded(bench, session.id);
    again.set('used', true);
    await again.save();
    expect(again.expiresAt).toEqual(inMs(milliseconds));
    passTime(milliseconds);
    expect(await live(bench, session.id)).toEqual([]);
  });

  it('an idle timeout of its own is the wish of one user, not of the next who logs in (S12)', async () => {
    await session.login('ada', { ttl: '30d' });
    await session.login('ada');
    expect(session.expiresAt).toEqual(inMs(8 * HOUR));
    await session.login('grace');
    expect(session.expiresAt).toEqual(inMs(HOUR));
    expect((await loaded(bench, session.id)).expiresAt).toEqual(inMs(HOUR));
  });

  it('of two users who log in at once the second is told, and nothing is taken from the first (S12, S14)', async () => {
    const other = await loaded(bench, old);
    await session.login('ada');
    const error = await failureOf(() => other.login('grace'));
    expect(error).toBeInstanceOf(SessionConflictError);
    expect(error.getStatus()).toBe(409);
    expect((await loaded(bench, session.id)).userId).toBe('ada');
    expect(await bench.store.listByUser('grace')).toEqual([]);
  });

  it('nothing that a rotation or a login hands to the storage has a secret in it (S8)', async () => {
    await session.regenerate();
    const between = session.id;
    await session.login('ada');
    expect(bench.probe.of('update')).toHaveLength(2);
    for (const id of [old, between, session.id]) {
      expect(JSON.stringify(bench.probe.calls)).not.toContain(secretOf(id));
    }
  });

  it('a visitor who logs in has a session stored at once, and not under an id from before (S11)', async () => {
    const fresh = await visitor(bench);
    const before = fresh.id;
    await fresh.login('ada');
    expect(fresh.id).not.toBe(before);
    expect((await loaded(bench, fresh.id)).userId).toBe('ada');
    expect(await live(bench, before, fresh.id)).toEqual([fresh.id]);
  });

  it.each(['', undefined, null, 7, {}, ['ada']])(
    'login of %p, which is no user id, is a clear error and changes nothing',
    async (userId) => {
      const error = await failureOf(() => session.login(userId as never));
      expect(error).toBeInstanceOf(SessionError);
      expect(error.message).toMatch(/user/i);
      expect(await live(bench, old)).toEqual([old]);
      expect((await loaded(bench, old)).userId).toBeUndefined();
    },
  );

  it.each(['never', 0, -1, NaN, Infinity, ''])(
    'login with the ttl %p is a clear error and changes nothing',
    async (ttl) => {
      const error = await failureOf(() => session.login('ada', { ttl }));
      expect(error).toBeInstanceOf(SessionError);
      expect(error.message).toMatch(/ttl/);
      expect((await loaded(bench, old)).userId).toBeUndefined();
    },
  );

  it('login with a misspelled option is a clear error and changes nothing', async () => {
    const error = await failureOf(() => session.login('ada', { tll: '30d' } as object));
    expect(error).toBeInstanceOf(SessionError);
    expect(error.message).toContain('tll');
    expect((await loaded(bench, old)).userId).toBeUndefined();
  });

  it.each(['logout', 'destroy'] as const)(
    'after %s the id is dead on every node, and the object is a new visitor (S12, S26)',
    async (end) => {
      const node = await secondNode(kind, bench);
      await session.login('ada');
      const { id, handle } = session;
      await session[end]();
      expect(await live(bench, id)).toEqual([]);
      expect(await live(node, id)).toEqual([]);
      expect(await bench.store.isEmpty()).toBe(true);
      expect(session.userId).toBeUndefined();
      expect(session.authenticatedAt).toBeUndefined();
      expect(session.keys()).toEqual([]);
      expect(session.toJSON()).toEqual({});
      expect(session.isNew).toBe(true);
      expect(session.id).not.toBe(id);
      expect(session.handle).not.toBe(handle);
    },
  );

  it.each(['logout', 'destroy'] as const)(
    'after %s saving without a change creates nothing (S52)',
    async (end) => {
      session.set('pending', 1);
      await session[end]();
      await session.save();
      expect(session.keys()).toEqual([]);
      expect(await bench.store.isEmpty()).toBe(true);
    },
  );

  it.each<[title: string, write: (session: AnySession) => void]>([
    ['a value', (each) => each.set('notice', 'bye')],
    ['a flash', (each) => each.flash('notice', 'bye')],
  ])('after logout writing %s starts a new session of nobody (S12)', async (_title, write) => {
    await session.login('ada');
    const { id, handle } = session;
    passTime(HOUR / 2);
    await session.logout();
    write(session);
    await session.save();
    expect(await live(bench, id, session.id)).toEqual([session.id]);
    expect(session.handle).not.toBe(handle);
    const again = await loaded(bench, session.id);
    expect(again.userId).toBeUndefined();
    expect(again.createdAt).toEqual(new Date());
    expect(again.get('notice') ?? again.flashed('notice')).toBe('bye');
    expect(again.has('basket')).toBe(false);
    expect(again.expiresAt).toEqual(inMs(HOUR));
  });

  it('after logout a login starts a session of its own', async () => {
    await session.login('ada');
    const { id, handle } = session;
    await session.logout();
    await session.login('grace');
    expect(await live(bench, id, session.id)).toEqual([session.id]);
    expect(session.handle).not.toBe(handle);
    expect((await loaded(bench, session.id)).toJSON()).toEqual({});
  });

  it('after a logout the idle timeout of its own is forgotten', async () => {
    session.expireIn('30d');
    await session.save();
    await session.logout();
    session.set('n', 1);
    await session.save();
    expect(session.expiresAt).toEqual(inMs(HOUR));
  });

  it('ending a session that ended meanwhile, or never was stored, is no error (S29)', async () => {
    await bench.store.destroy(old);
    await session.logout();
    const fresh = await visitor(bench);
    await fresh.destroy();
    await fresh.logout();
    expect(await bench.store.isEmpty()).toBe(true);
  });

  it('logging out ends the session also if it was rotated elsewhere meanwhile (S26)', async () => {
    const other = await loaded(bench, old);
    await other.regenerate();
    await session.logout();
    expect(await live(bench, old, other.id)).toEqual([]);
  });
});
