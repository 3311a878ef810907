import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  MemoryStorage,
  SessionConflictError,
  SessionError,
  SessionGoneError,
  SessionStorageError,
} from '../../src/index.js';
import { unbind } from '../../src/session/rotate.js';
import { stateOf } from '../../src/session/session.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';
import {
  type AnySession,
  type Bench,
  failureOf,
  kinds,
  loaded,
  open,
  storageOf,
  stored,
  visitor,
} from '../support/session-bench.js';
import { Probe } from '../support/storages.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

beforeEach(freezeTime);
afterEach(unfreezeTime);

const inMs = (milliseconds: number) => new Date(Date.now() + milliseconds);

/** Which of these ids a new request could use. */
async function live({ store }: Bench, ...ids: string[]): Promise<string[]> {
  const found: string[] = [];
  for (const id of new Set(ids)) if (await store.load(id)) found.push(id);
  return found;
}

describe.each(kinds)('saving: %s', (kind) => {
  let bench: Bench;
  let session: AnySession;
  let id: string;

  beforeEach(async () => {
    bench = await open(kind);
    ({ id } = await bench.store.create({ data: { n: 1 } }));
    session = await loaded(bench, id);
  });

  it('save stores now what was written; a second one has nothing to do', async () => {
    session.set('n', 2);
    await session.save();
    expect(stored(bench, session)).toEqual({ n: 2 });
    const before = bench.probe.peek(session.handle);
    await session.save();
    expect(bench.probe.peek(session.handle)).toEqual(before);
  });

  it('two holders that write different keys both win', async () => {
    const other = await loaded(bench, id);
    session.set('a', 1);
    other.set('b', 2);
    other.remove('n');
    await Promise.all([session.save(), other.save()]);
    expect((await loaded(bench, id)).toJSON()).toEqual({ a: 1, b: 2 });
  });

  it.each<[how: string, end: () => unknown]>([
    ['destroyed', () => bench.store.destroy(id)],
    ['revoked', () => bench.store.revoke(session.handle)],
    ['destroyed through another object', async () => (await loaded(bench, id)).destroy()],
    ['at its deadline', () => passTime(HOUR)],
    ['purged', () => (passTime(HOUR), bench.store.purgeExpired())],
  ])('a session that is %s is gone, whether it was changed or not (S21, S27)', async (_how, end) => {
    const unchanged = await loaded(bench, id);
    await end();
    session.set('n', 2);
    await expect(session.save()).rejects.toThrow(SessionGoneError);
    await expect(bench.store.save(session)).rejects.toThrow(SessionGoneError);
    await expect(unchanged.save()).rejects.toThrow(SessionGoneError);
    await expect(bench.store.save(unchanged)).rejects.toThrow(SessionGoneError);
    expect(await bench.store.load(id)).toBeUndefined();
    await bench.store.purgeExpired();
    expect(await bench.store.count()).toBe(0);
  });

  it('a save that is on its way to the storage when the session ends brings nothing back (S27)', async () => {
    const gate = bench.probe.hold('update');
    session.set('n', 2);
    const saving = failureOf(() => session.save());
    await gate.reached();
    await bench.store.destroy(id);
    gate.open();
    expect(await saving).toBeInstanceOf(SessionGoneError);
    expect(await bench.store.isEmpty()).toBe(true);
  });

  it('what is written while a save is under way is not lost', async () => {
    const gate = bench.probe.hold('update', { times: 1 });
    session.set('n', 2);
    const saving = session.save();
    await gate.reached();
    session.set('n', 3);
    session.set('late', true);
    gate.open();
    await saving;
    await session.save();
    expect(stored(bench, session)).toEqual({ n: 3, late: true });
  });

  it('a save that the storage fails can be tried again', async () => {
    bench.probe.fail('update', { times: 1 });
    session.set('n', 2);
    await expect(session.save()).rejects.toThrow(SessionStorageError);
    expect(stored(bench, session)).toEqual({ n: 1 });
    await session.save();
    expect(stored(bench, session)).toEqual({ n: 2 });
  });

  it('a new session that the storage fails can be tried again', async () => {
    const fresh = await visitor(bench);
    fresh.set('n', 1);
    bench.probe.fail('create', { times: 1 });
    await expect(fresh.save()).rejects.toThrow(SessionStorageError);
    expect(bench.probe.size).toBe(1);
    await fresh.save();
    expect((await loaded(bench, fresh.id)).get('n')).toBe(1);
  });

  it('a use after touchAfter moves the idle deadline with the write (S23)', async () => {
    passTime(HOUR / 2);
    session.set('n', 2);
    await session.save();
    expect(session.expiresAt).toEqual(inMs(HOUR));
    expect((await loaded(bench, id)).expiresAt).toEqual(inMs(HOUR));
    expect(bench.probe.of('update')).toHaveLength(1);
  });

  it('the absolute timeout holds under constant saving (S20, S21)', async () => {
    const strict = await open(kind, { absoluteTtl: '2h' });
    const each = await strict.store.create();
    const deadline = inMs(2 * HOUR);
    for (let i = 0; i < 5; i++) {
      passTime(HOUR / 3);
      each.set('i', i);
      await each.save();
    }
    expect(each.expiresAt).toEqual(deadline);
    passTime(HOUR / 3 - 1);
    expect(await live(strict, each.id)).toEqual([each.id]);
    passTime(1);
    expect(await live(strict, each.id)).toEqual([]);
    await expect(each.save()).rejects.toThrow(SessionGoneError);
  });
});

describe.each(kinds)('deadlines, also where the storage does not hold them: %s', (kind) => {
  it('a session is dead at its deadline, however late the clock of the storage is (S19, S21, S25)', async () => {
    const behind = new MemoryStorage({ now: () => Date.now() - HOUR });
    const bench = await open(kind, {}, storageOf(kind, behind));
    const session = await bench.store.create({ userId: 'ada', ttl: '1m' });
    passTime(MINUTE - 1);
    expect(await live(bench, session.id)).toEqual([session.id]);
    expect(await bench.store.listByUser('ada')).toHaveLength(1);
    passTime(1);
    expect(bench.probe.peek(session.handle)).toBeDefined();
    expect(await live(bench, session.id)).toEqual([]);
    expect(await bench.store.listByUser('ada')).toEqual([]);
    expect(await bench.store.destroy(session.id)).toBe(false);
    await expect(bench.store.tap(session.id, () => undefined)).rejects.toThrow(SessionGoneError);
  });

  it('an absolute timeout that a new release brings holds for the sessions there are (S20, S21)', async () => {
    const before = await open(kind, { ttl: '8h' });
    const { id, handle } = await before.store.create({ userId: 'ada' });
    const after = await open(kind, { ttl: '8h', absoluteTtl: '2h' }, before);
    passTime(2 * HOUR - 1);
    expect(await live(after, id)).toEqual([id]);
    expect(await after.store.listByUser('ada')).toHaveLength(1);
    passTime(1);
    expect(before.probe.peek(handle)).toBeDefined();
    expect(await live(after, id)).toEqual([]);
    expect(await after.store.listByUser('ada')).toEqual([]);
  });
});

describe.each(kinds)('expireIn: %s', (kind) => {
  let bench: Bench;
  let session: AnySession;

  beforeEach(async () => {
    bench = await open(kind);
    session = await loaded(bench, (await bench.store.create()).id);
  });

  it.each<[duration: string | number, milliseconds: number]>([
    ['30d', 30 * DAY],
    [120, 120 * SECOND],
    [0.5, 500],
    ['1s', SECOND],
  ])('%p is an idle timeout of its own, from now and from every use', async (duration, milliseconds) => {
    session.expireIn(duration);
    expect(session.expiresAt).toEqual(inMs(milliseconds));
    await session.save();
    const again = await loaded(bench, session.id);
    expect(again.expiresAt).toEqual(inMs(milliseconds));
    passTime(milliseconds - 1);
    again.set('used', true);
    await again.save();
    expect((await loaded(bench, session.id)).expiresAt).toEqual(inMs(milliseconds));
    passTime(milliseconds);
    expect(await live(bench, session.id)).toEqual([]);
  });

  it('it does not go beyond the absolute timeout (S20)', async () => {
    const strict = await open(kind, { absoluteTtl: '2h' });
    const each = await strict.store.create();
    const deadline = inMs(2 * HOUR);
    each.expireIn('30d');
    expect(each.expiresAt).toEqual(deadline);
    await each.save();
    expect(each.expiresAt).toEqual(deadline);
    passTime(2 * HOUR);
    expect(await live(strict, each.id)).toEqual([]);
  });

  it.each(['never', '', 0, -1, NaN, Infinity, undefined, null, {}, 1e300])(
    '%p is a clear error and changes nothing',
    async (duration) => {
      const before = session.expiresAt;
      const error = await failureOf(() => session.expireIn(duration as never));
      expect(error).toBeInstanceOf(SessionError);
      expect(error.message).toContain('expireIn');
      expect(session.expiresAt).toEqual(before);
    },
  );
});

describe('a storage that says for ever that a session is not as expected', () => {
  class Mistaken extends MemoryStorage {
    isMistaken = false;
    override update(...args: Parameters<MemoryStorage['update']>) {
      return this.isMistaken ? 'conflict' : super.update(...args);
    }
  }

  it.each<[what: string, change: (session: AnySession) => void]>([
    ['values', (session) => session.set('n', 2)],
    ['a timeout', (session) => session.expireIn('30d')],
    ['both', (session) => (session.set('n', 2), session.expireIn('30d'))],
  ])('is asked once or twice, and then believed: %s', async (_what, change) => {
    const storage = new Mistaken();
    const bench = await open(
      'memory storage',
      { touchAfter: 0 },
      { storage, probe: new Probe(storage, storage) },
    );
    const { id } = await bench.store.create({ data: { n: 1 } });
    const session = await loaded(bench, id);
    storage.isMistaken = true;
    bench.probe.forget();
    change(session);
    await expect(session.save()).rejects.toBeInstanceOf(SessionGoneError);
    expect(bench.probe.of('update').length).toBeLessThanOrEqual(2);
    expect((await loaded(bench, id)).get('n')).toBe(1);
  });

  it('and a logout that it refuses is no logout: it fails, and the user is still logged in', async () => {
    const storage = new Mistaken();
    const bench = await open('memory storage', {}, { storage, probe: new Probe(storage, storage) });
    const { id } = await bench.store.create({ userId: 'ada' });
    const session = await loaded(bench, id);
    storage.isMistaken = true;
    await expect(unbind(stateOf(session))).rejects.toBeInstanceOf(SessionConflictError);
    expect(bench.probe.of('update')).toHaveLength(1);
    expect((await loaded(bench, id)).userId).toBe('ada');
  });
});
