import { format, inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { SessionError } from '../../src/index.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';
import {
  type AnySession,
  type Bag,
  type Bench,
  everythingOf,
  failureOf,
  kinds,
  loaded,
  open,
  secretOf,
  stored,
  visitor,
} from '../support/session-bench.js';

describe.each(kinds)('what a session tells of itself: %s', (kind) => {
  let bench: Bench;

  beforeEach(async () => {
    freezeTime();
    bench = await open(kind);
  });
  afterEach(unfreezeTime);

  it('its id begins with its handle, and its times are Dates', async () => {
    const session = await bench.store.create();
    expect(session.id.startsWith(`${session.handle}.`)).toBe(true);
    expect(session.createdAt).toEqual(new Date());
    expect(session.expiresAt).toEqual(new Date(Date.now() + 3_600_000));
    expect(session.authenticatedAt).toBeUndefined();
    expect(session.userId).toBeUndefined();
    expect(session.isNew).toBe(true);
  });

  it('a session that is loaded later tells the same, and is not new', async () => {
    const { id, handle } = await bench.store.create({ userId: 'ada' });
    const start = new Date();
    passTime(60_000);
    const session = await loaded(bench, id);
    expect({
      id: session.id,
      handle: session.handle,
      isNew: session.isNew,
      userId: session.userId,
      createdAt: session.createdAt,
      authenticatedAt: session.authenticatedAt,
      expiresAt: session.expiresAt,
    }).toEqual({
      id,
      handle,
      isNew: false,
      userId: 'ada',
      createdAt: start,
      authenticatedAt: start,
      expiresAt: new Date(start.getTime() + 3_600_000),
    });
  });

  it('changing a Date that it gave changes nothing in it', async () => {
    const session = await bench.store.create({ userId: 'ada' });
    const now = Date.now();
    for (const date of [session.createdAt, session.authenticatedAt!, session.expiresAt]) date.setTime(0);
    expect(session.createdAt.getTime()).toBe(now);
    expect(session.authenticatedAt!.getTime()).toBe(now);
    expect(session.expiresAt.getTime()).toBe(now + 3_600_000);
  });

  it('a session that was started here stays new when it is saved again', async () => {
    const session = await bench.store.create();
    session.set('n', 1);
    await session.save();
    expect(session.isNew).toBe(true);
  });

  it("a visitor's session has an id and a handle that stay, and nothing is stored by asking (S52)", async () => {
    const session = await visitor(bench);
    const { id, handle } = session;
    expect(id.startsWith(`${handle}.`)).toBe(true);
    expect([session.id, session.handle, session.isNew]).toEqual([id, handle, true]);
    expect(session.get('n')).toBeUndefined();
    expect(session.has('n')).toBe(false);
    expect(session.keys()).toEqual([]);
    expect(session.toJSON()).toEqual({});
    expect(session.flashed('n')).toBeUndefined();
    await session.save();
    expect(bench.probe.names).toEqual([]);
    session.set('n', 1);
    await session.save();
    expect([session.id, session.handle]).toEqual([id, handle]);
    expect((await loaded(bench, id)).get('n')).toBe(1);
  });

  it.each<[way: string, show: (session: AnySession) => unknown]>([
    ['JSON.stringify', (session) => JSON.stringify(session)],
    ['JSON.stringify inside an object', (session) => JSON.stringify({ session })],
    ['inspect', (session) => inspect(session)],
    ['inspect inside an object', (session) => inspect({ deep: [{ session }] }, { depth: 9 })],
    [
      'inspect with showHidden and getters',
      (session) => inspect(session, { showHidden: true, getters: true, depth: Infinity }),
    ],
    [
      'inspect without custom inspection, as node:assert does it',
      (session) => inspect(session, { customInspect: false, getters: true, depth: Infinity }),
    ],
    ['format with every letter', (session) => format('%s %o %O %j', session, session, session, session)],
    ['String', (session) => String(session)],
    ['a template', (session) => `${session as unknown as string}`],
    ['keys', (session) => Object.keys(session).join()],
    ['own property names', (session) => Object.getOwnPropertyNames(session).join()],
    ['entries', (session) => inspect(Object.entries(session), { depth: Infinity, showHidden: true })],
    ['spread', (session) => JSON.stringify({ ...session })],
    ['assign', (session) => inspect(Object.assign({}, session), { depth: Infinity, showHidden: true })],
    [
      'for-in',
      (session) => {
        const seen: unknown[] = [];
        for (const key in session) seen.push(key, (session as any)[key]);
        return inspect(seen);
      },
    ],
  ])('%s shows no id, new or loaded (S50)', async (_way, show) => {
    const created = await bench.store.create({ data: { colour: 'teal' }, userId: 'ada' });
    const { id } = created;
    for (const session of [created, await loaded(bench, id)]) {
      // Asked for once, an id could be kept somewhere.
      expect(session.id).toBe(id);
      const text = String(show(session));
      expect(text).not.toContain(id);
      expect(text).not.toContain(secretOf(id));
      expect(text).not.toContain(bench.probe.peek(session.handle)!.proof);
    }
  });

  it('inspect and String show the handle, which is safe to log', async () => {
    const session = await bench.store.create();
    expect(inspect(session)).toContain(session.handle);
    expect(String(session)).toContain(session.handle);
  });

  it('toJSON is what JSON.stringify shows: the data', async () => {
    const session = await bench.store.create({ data: { n: 1, list: [1, { a: null }] }, userId: 'ada' });
    session.flash('notice', 'saved');
    expect(JSON.parse(JSON.stringify(session))).toEqual({ n: 1, list: [1, { a: null }] });
    expect(session.toJSON()).toEqual({ n: 1, list: [1, { a: null }] });
  });

  it('toJSON is a copy: changing it changes no session', async () => {
    const { id } = await bench.store.create({ data: { basket: { items: [1] } } });
    const session = await loaded(bench, id);
    const copy = session.toJSON();
    copy.basket.items.push(2);
    copy.extra = true;
    expect(session.get('basket')).toEqual({ items: [1] });
    expect(session.has('extra')).toBe(false);
    await session.save();
    expect(stored(bench, session)).toEqual({ basket: { items: [1] } });
  });

  it('errors of every member carry no id (S50)', async () => {
    const { store } = bench;
    const session = await store.create({ data: { n: 1 } });
    const { id } = session;
    const destroyed = async () => {
      const { id: other } = await store.create({ id: `${'own-id.'.repeat(4)}${Math.random()}` });
      const gone = await loaded(bench, other);
      gone.set('n', 2);
      await store.destroy(other);
      return gone;
    };
    const deeds: ((session: AnySession) => unknown)[] = [
      (each) => each.set('', 1),
      (each) => each.set(7 as never, 1),
      (each) => each.expireIn('never'),
      (each) => each.login(''),
      (each) => each.login(7 as never),
      (each) => each.login('ada', { ttl: 'never' }),
      (each) => each.tap(() => each.tap(() => 1)),
      (each) => each.tap(7 as never),
      (each) => (each.set('n', 1n), each.save()),
      (each) => (each.set('n', 'x'.repeat(70_000)), each.save()),
      (each) => (each.flash('n', 1n), each.save()),
    ];
    const ended: ((session: AnySession) => unknown)[] = [
      (each) => each.save(),
      (each) => each.tap(() => 1),
      (each) => each.regenerate(),
      (each) => each.login('ada'),
      (each) => store.save(each),
    ];
    let failures = 0;
    const check = async (each: AnySession, deed: (session: AnySession) => unknown) => {
      const { id: own } = each;
      const error = await Promise.resolve(each)
        .then(deed)
        .then(
          () => undefined,
          (reason: unknown) => reason,
        );
      if (error === undefined) return;
      failures++;
      expect(error).toBeInstanceOf(Error);
      expect(everythingOf(error)).not.toContain(secretOf(own));
    };
    for (const deed of deeds) await check(await loaded(bench, id), deed);
    for (const deed of ended) await check(await destroyed(), deed);
    expect(failures).toBeGreaterThanOrEqual(12);
  });

  it('it cannot be made by hand, nor can something else be saved as one', async () => {
    for (const fake of [{}, null, undefined, 'session', { id: 'x' }]) {
      const error = await failureOf(() => bench.store.save(fake as never));
      expect(error).toBeInstanceOf(SessionError);
      expect(error.message).toMatch(/session/i);
    }
  });
});

describe.each(kinds)('keys and paths of a session: %s', (kind) => {
  let bench: Bench;

  beforeEach(async () => {
    bench = await open(kind);
  });

  /** What another request sees after this one has saved its changes. */
  async function after(data: Bag, change: (session: AnySession) => void): Promise<AnySession> {
    const { id } = await bench.store.create({ data });
    const session = await loaded(bench, id);
    change(session);
    await session.save();
    return loaded(bench, id);
  }

  it('get, has, keys: what is there is there, what is not is undefined', async () => {
    const session = await after({ n: 1, user: { name: 'Ada' } }, () => {});
    expect(session.get('n')).toBe(1);
    expect(session.get('user.name')).toBe('Ada');
    expect(session.get('user.age')).toBeUndefined();
    expect(session.get('nothing')).toBeUndefined();
    expect(session.get('nothing.at.all')).toBeUndefined();
    expect([session.has('n'), session.has('user.name'), session.has('user.age'), session.has('x.y')]).toEqual(
      [true, true, false, false],
    );
    expect(session.keys().toSorted()).toEqual(['n', 'user']);
  });

  it('remove says whether there was something, and takes it from the storage', async () => {
    const answers: boolean[] = [];
    const session = await after({ a: 1, b: { c: 2, d: 3 } }, (each) => {
      answers.push(each.remove('a'), each.remove('a'), each.remove('b.c'), each.remove('b.x.y'));
    });
    expect(answers).toEqual([true, false, true, false]);
    expect(session.toJSON()).toEqual({ b: { d: 3 } });
    expect(Object.keys(bench.probe.peek(session.handle)!.data)).toEqual(['b']);
  });

  it('take reads and removes, by key and by path', async () => {
    const taken: unknown[] = [];
    const session = await after({ a: 1, b: { c: 2, d: 3 } }, (each) => {
      taken.push(each.take('a'), each.take('a'), each.take('b.c'));
    });
    expect(taken).toEqual([1, undefined, 2]);
    expect(session.toJSON()).toEqual({ b: { d: 3 } });
  });

  it('replace sets and gives the value before, by key and by path', async () => {
    const before: unknown[] = [];
    const session = await after({ a: 1, b: { c: 2 } }, (each) => {
      before.push(each.replace('a', 10), each.replace('b.c', 20), each.replace('new', 30));
    });
    expect(before).toEqual([1, 2, undefined]);
    expect(session.toJSON()).toEqual({ a: 10, b: { c: 20 }, new: 30 });
  });

  it('clear removes all data and leaves the session, its user and its flashes', async () => {
    const created = await bench.store.create({ data: { a: 1, b: { c: 2 } }, userId: 'ada' });
    created.flash('notice', 'cleared');
    created.clear();
    expect(created.keys()).toEqual([]);
    await created.save();
    const session = await loaded(bench, created.id);
    expect(session.toJSON()).toEqual({});
    expect(session.userId).toBe('ada');
    expect(session.flashed('notice')).toBe('cleared');
  });

  it('what is set after clear is kept, also under an old key', async () => {
    const session = await after({ a: 1, b: 2 }, (each) => {
      each.clear();
      each.set('b', 3);
    });
    expect(session.toJSON()).toEqual({ b: 3 });
  });

  it('undefined removes', async () => {
    const session = await after({ a: 1, b: { c: 1, d: 2 } }, (each) => {
      each.set('a', undefined);
      each.set('b.c', undefined);
    });
    expect(session.toJSON()).toEqual({ b: { d: 2 } });
    expect([session.has('a'), session.has('b.c')]).toEqual([false, false]);
    expect(session.keys()).toEqual(['b']);
  });

  it.each<[title: string, data: Bag, path: string, after: Bag]>([
    ['objects on the way are made', {}, 'a.b.c', { a: { b: { c: 1 } } }],
    ['arrays on the way are made', {}, 'cart.items[0].qty', { cart: { items: [{ qty: 1 }] } }],
    ['an array in an array is made', {}, 'grid[0][0]', { grid: [[1]] }],
    ['an element behind the end is appended', { list: ['a'] }, 'list[1]', { list: ['a', 1] }],
    ['a gap is null, as JSON has it', { list: ['a'] }, 'list[3]', { list: ['a', null, null, 1] }],
    ['an element is overwritten', { list: ['a', 'b'] }, 'list[0]', { list: [1, 'b'] }],
    ['what stands beside the path stays', { a: { x: 1, y: [2] } }, 'a.b', { a: { x: 1, y: [2], b: 1 } }],
    ['null on the way makes room', { a: null }, 'a.b', { a: { b: 1 } }],
    ['a number on the way makes room', { a: 5 }, 'a.b', { a: { b: 1 } }],
    ['a string on the way makes room', { a: 'text' }, 'a.b.c', { a: { b: { c: 1 } } }],
    ['an escaped dot is part of the key', {}, 'www\\.example\\.com', { 'www.example.com': 1 }],
    ['an escaped dot within a path', {}, 'hosts.www\\.example.n', { hosts: { 'www.example': { n: 1 } } }],
    ['a number is a key like any', {}, '2024', { 2024: 1 }],
    ['a number after a dot names a key, and makes no list', {}, 'years.2024', { years: { 2024: 1 } }],
    ['a number within a path', { years: { 2023: 0 } }, 'years.2024', { years: { 2023: 0, 2024: 1 } }],
    ['spaces and other letters', {}, 'größe in cm.ß 日本', { 'größe in cm': { 'ß 日本': 1 } }],
    ['punctuation', {}, 'a-b_c:d/e@f', { 'a-b_c:d/e@f': 1 }],
    ['names of array methods', {}, 'length.push', { length: { push: 1 } }],
  ])('set: %s', async (_title, data, path, expected) => {
    let seen: unknown;
    const session = await after(data, (each) => {
      each.set(path, 1);
      seen = each.get(path);
    });
    expect(seen).toBe(1);
    expect(session.toJSON()).toEqual(expected);
    expect(session.get(path)).toBe(1);
    expect(session.has(path)).toBe(true);
    const [key] = Object.keys(expected);
    expect(session.keys()).toEqual([key]);
  });

  it('a dot that is not escaped does not find a key with a dot', async () => {
    const session = await after({}, (each) => each.set('a\\.b', 1));
    expect(session.get('a.b')).toBeUndefined();
    expect(session.get('a\\.b')).toBe(1);
    expect(session.remove('a.b')).toBe(false);
    expect(session.remove('a\\.b')).toBe(true);
  });

  it('data whose keys have dots keeps them apart from paths', async () => {
    const session = await after({ 'a.b': 1, a: { b: 2 } }, () => {});
    expect([session.get('a\\.b'), session.get('a.b')]).toEqual([1, 2]);
    expect(session.keys().toSorted()).toEqual(['a', 'a.b']);
  });

  it.each(['list[5]', 'list[0].x', 'nothing[0]', 'n.x', 'zero.x.y', 'text.x', 'list.x'])(
    'get of %s, which leads nowhere, is undefined and no error',
    async (path) => {
      const session = await after({ list: ['a'], n: 5, zero: null, text: 'abc' }, () => {});
      expect(session.get(path)).toBeUndefined();
      expect(session.has(path)).toBe(false);
      expect(session.take(path)).toBeUndefined();
      expect(session.remove(path)).toBe(false);
      expect(session.toJSON()).toEqual({ list: ['a'], n: 5, zero: null, text: 'abc' });
    },
  );

  it.each([undefined, null, 7, {}, [], Symbol('n'), true])(
    'writing to %p, which is no path, is a clear error; reading it finds nothing',
    async (path) => {
      const { id } = await bench.store.create({ data: { n: 1 } });
      const session = await loaded(bench, id);
      const wrong = path as never;
      for (const write of [() => session.set(wrong, 1), () => session.replace(wrong, 1)]) {
        expect(write).toThrow(SessionError);
        expect(write).toThrow(/path/);
      }
      for (const read of [() => session.get(wrong), () => session.take(wrong)]) {
        let value: unknown;
        try {
          value = read();
        } catch (error) {
          expect(error).toBeInstanceOf(SessionError);
        }
        expect(value).toBeUndefined();
      }
      expect(session.toJSON()).toEqual({ n: 1 });
    },
  );

  it.each(['a[', 'a[0', 'a[x', 'a]', 'a[0]b', 'a[]', 'a[-1]', 'a[1.5]', '[', ''])(
    'set to the odd path %j is what get finds again, or a clear error',
    async (path) => {
      const { id } = await bench.store.create({ data: { n: 1 } });
      const session = await loaded(bench, id);
      try {
        session.set(path, 'odd');
      } catch (error) {
        expect(error).toBeInstanceOf(SessionError);
        expect((error as Error).message).toMatch(/path/);
        expect(session.toJSON()).toEqual({ n: 1 });
        return;
      }
      await session.save();
      const again = await loaded(bench, id);
      expect(again.get(path)).toBe('odd');
      expect(again.get('n')).toBe(1);
    },
  );

  it.each(['list[4000000000]', 'list[20000000]', 'new[20000000]'])(
    'an index beyond reason is an error at once, not a list that takes seconds to encode: %s (S55)',
    async (path) => {
      const session = await bench.store.create({ data: { list: [] } });
      expect(() => session.set(path, 1)).toThrow(SessionError);
      expect(session.toJSON()).toEqual({ list: [] });
    },
  );

  const poisoned = ['__proto__', 'constructor', 'prototype'];
  /** What every object or list has. */
  const methods = [Object.prototype, Array.prototype].flatMap((prototype) =>
    Object.getOwnPropertyNames(prototype)
      .map((name) => [name, Object.getOwnPropertyDescriptor(prototype, name)!.value as object] as const)
      .filter(([, value]) => typeof value === 'function'),
  );

  it.each([
    ...poisoned,
    '__proto__.polluted',
    'constructor.prototype.polluted',
    'a.__proto__.polluted',
    'a.constructor.prototype.polluted',
    'list[0].__proto__.polluted',
    'prototype.polluted',
    'a.toString.polluted',
    'list[0].valueOf.polluted',
    'list.map.polluted',
    'hasOwnProperty.polluted',
  ])('the path %s reaches no prototype, whatever is done with it (S48)', async (path) => {
    const { id } = await bench.store.create({ data: { a: {}, list: [{}] } });
    const session = await loaded(bench, id);
    expect(session.get(path)).toBeUndefined();
    expect(session.has(path)).toBe(false);
    for (const deed of [
      () => session.set(path, 'yes'),
      () => session.replace(path, 'yes'),
      () => session.remove(path),
      () => session.take(path),
    ]) {
      try {
        deed();
      } catch (error) {
        expect(error).toBeInstanceOf(SessionError);
      }
    }
    await session.save();
    const plain = {} as Bag;
    expect(plain.polluted).toBeUndefined();
    expect((Object as unknown as Bag).polluted).toBeUndefined();
    expect(plain.constructor).toBe(Object);
    for (const [name, method] of methods) expect([name, Object.keys(method)]).toEqual([name, []]);
    expect(typeof Object.prototype.hasOwnProperty).toBe('function');
  });

  it.each(['toString', 'hasOwnProperty', 'valueOf', '__defineGetter__', 'a.toString', 'list.map'])(
    '%s is a key like any, and not what every object has (S48)',
    async (path) => {
      const session = await after({ a: {}, list: [] }, () => {});
      expect(session.get(path)).toBeUndefined();
      expect(session.has(path)).toBe(false);
    },
  );

  it('keys that are named like parts of an object are harmless in data (S48)', async () => {
    const poison = JSON.parse(
      '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"prototype":{"polluted":1},"ok":1}',
    ) as Bag;
    const nested = JSON.parse('{"deep":{"__proto__":{"polluted":1}},"ok":2}') as Bag;
    let session: AnySession | undefined;
    try {
      session = await bench.store.create({ data: poison });
    } catch (error) {
      expect(error).toBeInstanceOf(SessionError);
    }
    session ??= await bench.store.create();
    session.set('nested', nested);
    await session.save();
    await session.tap((data) => {
      data.tapped = JSON.parse('{"__proto__":{"polluted":1}}') as Bag;
    });
    const again = await loaded(bench, session.id);
    expect(again.get('nested.ok')).toBe(2);
    expect(again.get('nested.deep.polluted')).toBeUndefined();
    expect(again.get('polluted')).toBeUndefined();
    expect(again.toJSON().polluted).toBeUndefined();
    expect(again.get('tapped.polluted')).toBeUndefined();
    expect(({} as Bag).polluted).toBeUndefined();
  });
});
