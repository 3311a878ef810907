import { beforeEach, describe, expect, it } from '@jest/globals';
import { MemoryStorage, SessionError, SessionGoneError, SessionStorageError } from '../../src/index.js';
import type { SessionChange } from '../../src/index.js';
import { Gate } from '../support/gate.js';
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

describe.each(kinds)('one session object, several things at once: %s', (kind) => {
  let bench: Bench;
  let session: AnySession;
  let old: string;

  beforeEach(async () => {
    bench = await open(kind);
    ({ id: old } = await bench.store.create({ data: { n: 1 } }));
    session = await loaded(bench, old);
  });

  it('two saves of a new session make one record', async () => {
    const fresh = await visitor(bench);
    fresh.set('n', 1);
    await Promise.all([fresh.save(), fresh.save(), bench.store.save(fresh)]);
    expect(bench.probe.size).toBe(2);
    expect((await loaded(bench, fresh.id)).get('n')).toBe(1);
  });

  it('a save, a tap and a rotation of a new session make one record with all of it', async () => {
    const fresh = await visitor(bench);
    fresh.set('a', 1);
    await Promise.all([fresh.save(), fresh.tap((data) => void (data.b = 2)), fresh.regenerate()]);
    expect(bench.probe.size).toBe(2);
    expect((await loaded(bench, fresh.id)).toJSON()).toEqual({ a: 1, b: 2 });
  });

  it('a save and a login of a new session make one record, of the user', async () => {
    const fresh = await visitor(bench);
    const before = await bench.store.count();
    fresh.set('n', 1);
    await Promise.all([fresh.save(), fresh.login('ada')]);
    expect(await bench.store.count()).toBe(before + 1);
    expect((await bench.store.listByUser('ada')).map(({ handle, data }) => ({ handle, data }))).toEqual([
      { handle: fresh.handle, data: { n: 1 } },
    ]);
    expect((await loaded(bench, fresh.id)).userId).toBe('ada');
  });

  it('two rotations leave one live id, and the object has it (S14)', async () => {
    await Promise.all([session.regenerate(), session.regenerate()]);
    expect(await bench.store.load(old)).toBeUndefined();
    expect(await bench.store.load(session.id)).toBeDefined();
  });

  it('a login and a rotation: the object has the live id, and the user is bound (S14)', async () => {
    await Promise.all([session.login('ada'), session.regenerate()]);
    expect(await bench.store.load(old)).toBeUndefined();
    expect((await loaded(bench, session.id)).userId).toBe('ada');
    expect(session.userId).toBe('ada');
  });

  it('a write and a rotation: both land', async () => {
    session.set('a', 1);
    const rotating = session.regenerate();
    session.set('b', 2);
    await Promise.all([rotating, session.save()]);
    await session.save();
    expect((await loaded(bench, session.id)).toJSON()).toEqual({ n: 1, a: 1, b: 2 });
  });

  it('a save under way when the object is destroyed leaves nothing, and no error but gone (S27)', async () => {
    const gate = bench.probe.hold('update');
    session.set('n', 2);
    const saving = session.save().catch((error: unknown) => error);
    await gate.reached();
    const ending = session.destroy();
    gate.open();
    const [saved] = await Promise.all([saving, ending]);
    if (saved !== undefined) expect(saved).toBeInstanceOf(SessionGoneError);
    expect(await bench.store.isEmpty()).toBe(true);
    expect(session.keys()).toEqual([]);
  });

  it('a new session destroyed while its creation is under way leaves nothing (S26)', async () => {
    const fresh = await visitor(bench);
    fresh.set('n', 1);
    const { id } = fresh;
    const gate = bench.probe.hold('create');
    const saving = fresh.save().catch((error: unknown) => error);
    await gate.reached();
    const ending = fresh.destroy();
    gate.open();
    await Promise.all([saving, ending]);
    expect(await bench.store.load(id)).toBeUndefined();
    expect(bench.probe.size).toBe(1);
  });

  it('a tap under way when the object is destroyed saves nothing and says so (S27)', async () => {
    const gate = new Gate();
    const tapping = failureOf(() =>
      session.tap(async (data) => {
        await gate.pass();
        data.n = 2;
      }),
    );
    await gate.reached();
    await session.destroy();
    gate.open();
    expect(await tapping).toBeInstanceOf(SessionGoneError);
    expect(await bench.store.isEmpty()).toBe(true);
    expect(session.keys()).toEqual([]);
  });

  it('a session destroyed inside its own tap is destroyed, and its data with it (S12, S27)', async () => {
    const outcome = await session
      .tap(async (data) => {
        data.n = 2;
        await session.destroy();
      })
      .catch((error: unknown) => error);
    if (outcome !== undefined) expect(outcome).toBeInstanceOf(SessionError);
    expect(await bench.store.load(old)).toBeUndefined();
    await session.save();
    // Nothing of the session that ended may come back in a new one (S12, S27).
    expect(session.toJSON()).toEqual({});
    expect(await bench.store.isEmpty()).toBe(true);
  });

  it('a session rotated inside its own tap has a new id, and what the tap did', async () => {
    await session.tap(async (data) => {
      data.n = 2;
      await session.regenerate();
    });
    expect(await bench.store.load(old)).toBeUndefined();
    expect((await loaded(bench, session.id)).get('n')).toBe(2);
  });

  it('what is set on the object while its tap runs, under another key, is saved as well', async () => {
    const gate = new Gate();
    const tapping = session.tap(async (data) => {
      await gate.pass();
      data.n = 2;
    });
    await gate.reached();
    session.set('beside', 1);
    gate.open();
    await tapping;
    expect(session.toJSON()).toEqual({ n: 2, beside: 1 });
    await session.save();
    expect(stored(bench, session)).toEqual({ n: 2, beside: 1 });
  });

  it('what fn itself writes through the session, under another key, is saved as well', async () => {
    await session.tap((data) => {
      data.n = 2;
      session.set('beside', 1);
      session.flash('notice', 'counted');
    });
    await session.save();
    expect(stored(bench, session)).toMatchObject({ n: 2, beside: 1 });
    expect((await loaded(bench, old)).flashed('notice')).toBe('counted');
  });

  it('a save of the object while its tap runs neither waits for it nor loses anything', async () => {
    const gate = new Gate();
    const tapping = session.tap(async (data) => {
      await gate.pass();
      data.n = 2;
    });
    await gate.reached();
    session.set('beside', 1);
    await session.save();
    expect(stored(bench, session)).toEqual({ n: 1, beside: 1 });
    gate.open();
    await tapping;
    expect(stored(bench, session)).toEqual({ n: 2, beside: 1 });
    expect(session.toJSON()).toEqual({ n: 2, beside: 1 });
  });

  it('a key removed, or all cleared, before a tap is not in its data, and stays away', async () => {
    session.set('m', 1);
    await session.save();
    session.remove('n');
    expect(await session.tap((data) => Object.keys(data))).toEqual(['m']);
    expect(stored(bench, session)).toEqual({ m: 1 });
    session.clear();
    expect(await session.tap((data) => ((data.k = 1), Object.keys(data)))).toEqual(['k']);
    expect(stored(bench, session)).toEqual({ k: 1 });
  });

  it('an idle timeout set before a tap is saved with it', async () => {
    session.expireIn('30d');
    await session.tap((data) => void data.n++);
    const { expiresAt } = await loaded(bench, old);
    expect(expiresAt.getTime() - Date.now()).toBeGreaterThan(29 * 86_400_000);
  });

  it('an idle timeout set before a rotation or a login is saved with it', async () => {
    session.expireIn('30d');
    await session.regenerate();
    expect(session.expiresAt.getTime() - Date.now()).toBeGreaterThan(29 * 86_400_000);
    await session.login('ada');
    const { expiresAt } = await loaded(bench, session.id);
    expect(expiresAt.getTime() - Date.now()).toBeGreaterThan(29 * 86_400_000);
  });

  it('a tap can make any key of the application’s own (S48)', async () => {
    await session.tap((data) => void Object.assign(data, JSON.parse('{"constructor":1,"toString":2}')));
    expect((await loaded(bench, old)).toJSON()).toEqual({ n: 1, constructor: 1, toString: 2 });
  });

  it.each<[key: string]>([['~flash:1'], ['__proto__']])(
    'the key %s, which is none of the application’s, is a clear error in every way to set it (S48)',
    async (key) => {
      const poisoned = () => Object.fromEntries([['ok', 1]].concat([[key, [['a', 1]]] as never])) as object;
      const message = expect.stringContaining(`"${key}" cannot be`);
      const ways: (() => unknown)[] = [
        () => session.set(key, [['a', 1]]),
        () =>
          session.tap(
            (data) => void Object.defineProperties(data, Object.getOwnPropertyDescriptors(poisoned())),
          ),
        () => bench.store.create({ data: poisoned() }),
      ];
      for (const way of ways) expect(await failureOf(way)).toMatchObject({ code: 'ERR_SESSION', message });
      expect(await bench.store.count()).toBe(1);
      await session.save();
      const again = await loaded(bench, old);
      expect(again.toJSON()).toEqual({ n: 1 });
      expect(again.flashed('a')).toBeUndefined();
    },
  );

  it('what is done with data after the tap has ended changes nothing', async () => {
    let kept: any;
    await session.tap((data) => {
      kept = data;
      data.list = [1];
    });
    kept.n = 99;
    kept.list.push(99);
    kept.extra = true;
    expect(session.toJSON()).toEqual({ n: 1, list: [1] });
    await session.save();
    expect(stored(bench, session)).toEqual({ n: 1, list: [1] });
  });
});

describe.each(kinds)('an answer of the storage that is lost after it did its work: %s', (kind) => {
  it('at a rotation: an id that works is left in the hands of the session (S18)', async () => {
    let lose = false;
    class Lossy extends MemoryStorage {
      override update(handle: string, change: SessionChange) {
        const result = super.update(handle, change);
        if (lose) throw new Error('connection lost');
        return result;
      }
    }
    const bench = await open(kind, {}, storageOf(kind, new Lossy()));
    const { id } = await bench.store.create();
    const session = await loaded(bench, id);
    lose = true;
    await session.regenerate();
    lose = false;
    session.set('n', 1);
    await session.save();
    expect(bench.probe.peek(session.handle)!.data).toEqual({ n: '1' });
    const alive = await Promise.all([id, session.id].map((each) => bench.store.load(each)));
    expect(alive.some(Boolean)).toBe(true);
  });

  it('at a creation: trying again makes no second record', async () => {
    let lose = false;
    class Lossy extends MemoryStorage {
      override create(record: Parameters<MemoryStorage['create']>[0]) {
        const result = super.create(record);
        if (lose) throw new Error('connection lost');
        return result;
      }
    }
    const bench = await open(kind, {}, storageOf(kind, new Lossy()));
    const session = await visitor(bench);
    session.set('n', 1);
    lose = true;
    await expect(session.save()).rejects.toThrow(SessionStorageError);
    lose = false;
    await session.save();
    expect((await loaded(bench, session.id)).get('n')).toBe(1);
  });
});

describe.each(kinds)('the absolute timeout bounds what is asked for: %s', (kind) => {
  it('create and login with a longer ttl end at it (S20)', async () => {
    const { store } = await open(kind, { absoluteTtl: '2h' });
    const session = await store.create({ ttl: '30d' });
    const left = () => session.expiresAt.getTime() - Date.now();
    expect(left()).toBeLessThanOrEqual(7_200_000);
    await session.login('ada', { ttl: '30d' });
    expect(left()).toBeLessThanOrEqual(7_200_000);
    expect(left()).toBeGreaterThan(7_100_000);
  });
});
