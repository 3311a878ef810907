import { inspect, isDeepStrictEqual } from 'node:util';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { SessionError } from '../../src/index.js';
import {
  type AnySession,
  type Bag,
  type Bench,
  failureOf,
  kinds,
  loaded,
  open,
  secretOf,
  stored,
  visitor,
} from '../support/session-bench.js';

describe.each(kinds)('session.data: %s', (kind) => {
  const initial = { n: 1, cart: { items: [{ qty: 1 }] }, name: 'Ada' };
  let bench: Bench;
  let session: AnySession;
  let data: Bag;

  beforeEach(async () => {
    bench = await open(kind);
    session = await loaded(bench, (await bench.store.create({ data: initial })).id);
    data = session.data;
  });

  /** What another request sees after this one has saved. */
  async function saved(): Promise<Bag> {
    await session.save();
    return (await loaded(bench, session.id)).toJSON();
  }

  it('reads what get reads', () => {
    expect(data.n).toBe(1);
    expect(data.cart).toBe(session.get('cart'));
    expect(data.cart.items[0].qty).toBe(1);
    expect(data.nothing).toBeUndefined();
    const { name, missing = 'none' } = data;
    expect([name, missing]).toEqual(['Ada', 'none']);
  });

  it('is live: it shows what was set elsewhere, and get shows what was set here', async () => {
    session.set('n', 2);
    expect(data.n).toBe(2);
    data.n = 3;
    expect(session.get('n')).toBe(3);
    await session.tap((tapped) => void (tapped.n = 4));
    expect(data.n).toBe(4);
    session.clear();
    expect(Object.keys(data)).toEqual([]);
    expect(session.data).toBe(data);
  });

  it('assigning, deleting and changing nested values is saved', async () => {
    data.n++;
    data.fresh = { list: [] };
    data.fresh.list.push(1);
    data.cart.items.push({ qty: 2 });
    data.cart.items[0].qty = 5;
    delete data.name;
    const expected = { n: 2, fresh: { list: [1] }, cart: { items: [{ qty: 5 }, { qty: 2 }] } };
    expect(await saved()).toEqual(expected);
    expect({ ...data }).toEqual(expected);
  });

  it('what is changed through it after a save is saved as well', async () => {
    data.cart.items[0].qty = 2;
    await session.save();
    data.cart.items[0].qty = 3;
    expect((await saved()).cart).toEqual({ items: [{ qty: 3 }] });
  });

  it('setting an equal value is no change', async () => {
    data.n = 1;
    data.cart = { items: [{ qty: 1 }] };
    data.name = 'Grace';
    data.name = 'Ada';
    delete data.nothing;
    await session.save();
    expect(bench.probe.of('update').filter(({ args: [, change] }) => change.set || change.remove)).toEqual(
      [],
    );
  });

  it('undefined removes', async () => {
    data.n = undefined;
    expect('n' in data).toBe(false);
    expect(Object.keys(await saved())).toEqual(['cart', 'name']);
  });

  it('has, keys, entries, for…in and spread see the data, and no flashes', async () => {
    session.flash('notice', 'hi');
    await session.save();
    for (const each of [data, (await loaded(bench, session.id)).data]) {
      expect(['n' in each, 'nothing' in each, 'notice' in each, 'toString' in each]).toEqual([
        true,
        false,
        false,
        false,
      ]);
      expect(Object.keys(each)).toEqual(['n', 'cart', 'name']);
      expect(Reflect.ownKeys(each)).toEqual(['n', 'cart', 'name']);
      expect(Object.entries(each)).toEqual(Object.entries(initial));
      expect(Object.values(each)).toEqual(Object.values(initial));
      expect({ ...each }).toEqual(initial);
      const seen: string[] = [];
      // oxlint-disable-next-line guard-for-in -- it has no prototype
      for (const key in each) seen.push(key);
      expect(seen).toEqual(['n', 'cart', 'name']);
      expect([Object.hasOwn(each, 'n'), Object.hasOwn(each, 'nothing')]).toEqual([true, false]);
      expect(Object.getOwnPropertyDescriptor(each, 'n')).toEqual({
        value: 1,
        writable: true,
        enumerable: true,
        configurable: true,
      });
      expect(Object.getOwnPropertyDescriptor(each, 'nothing')).toBeUndefined();
    }
  });

  it('keys that were set, removed and set again are there once', () => {
    data.fresh = 1;
    delete data.n;
    data.n = 2;
    delete data.name;
    expect(Object.keys(data)).toEqual(['n', 'cart', 'fresh']);
  });

  it('JSON, equality and printing go by the data', () => {
    expect(JSON.stringify(data)).toBe(JSON.stringify(initial));
    expect(JSON.stringify({ data })).toBe(JSON.stringify({ data: initial }));
    expect(data).toEqual(initial);
    expect(data).not.toEqual({ ...initial, n: 2 });
    expect(data).toMatchObject({ cart: { items: [{ qty: 1 }] } });
    expect(isDeepStrictEqual({ ...data }, initial)).toBe(true);
    expect(inspect(data)).toBe(inspect(initial));
    expect(inspect({ data }, { depth: 0 })).toBe('{ data: [Object] }');
    expect(inspect({ data }, { depth: 5 })).toBe(inspect({ data: initial }, { depth: 5 }));
    data.n = 2;
    expect(inspect(data)).toContain('n: 2');
  });

  it('prints and shows the data alone: no id, no proof, no flash (S50)', async () => {
    session.flash('notice', 'flashed');
    await session.save();
    for (const showProxy of [false, true]) {
      const shown = inspect(data, { depth: Infinity, showHidden: true, getters: true, showProxy });
      expect(shown).toContain("name: 'Ada'");
      expect(shown).not.toContain('flashed');
      expect(shown).not.toContain(secretOf(session.id));
    }
  });

  it('a value that cannot be encoded any more does not break printing', () => {
    data.cart.items = 1n;
    expect(inspect(data)).toContain('items: 1n');
  });

  it('has no prototype, and no property of a symbol', () => {
    expect(Object.getPrototypeOf(data)).toBeNull();
    expect(data instanceof Object).toBe(false);
    expect([data.toString, data.constructor, data.__proto__, data.then]).toEqual(Array(4).fill(undefined));
    for (const symbol of [
      Symbol.iterator,
      Symbol.toPrimitive,
      Symbol.toStringTag,
      Symbol('own'),
      inspect.custom,
    ]) {
      expect(Reflect.get(data, symbol)).toBeUndefined();
      expect(Reflect.has(data, symbol)).toBe(false);
      expect(Reflect.getOwnPropertyDescriptor(data, symbol)).toBeUndefined();
      expect(Reflect.deleteProperty(data, symbol)).toBe(true);
    }
    expect(() => Reflect.set(data, Symbol('own'), 1)).toThrow(/key is a string; got Symbol\(own\)/);
    expect(() => Object.defineProperty(data, Symbol('own'), { value: 1 })).toThrow(SessionError);
    expect(Object.prototype.toString.call(data)).toBe('[object Object]');
  });

  it('a promise of it is a promise of it: await finds nothing to wait for', async () => {
    expect(await data).toBe(data);
  });

  it('keys named like members of a session or an object are data', async () => {
    const names = [
      'save',
      'id',
      'get',
      'data',
      'constructor',
      'toString',
      'hasOwnProperty',
      'valueOf',
      'then',
      'toJSON',
    ];
    names.push('values', 'object', 'holder', 'prototype', 'length', '', 'a.b', 'c[0]', '0');
    for (const name of names) {
      expect(data[name]).toBeUndefined();
      data[name] = name;
      expect(data[name]).toBe(name);
    }
    const expected = { ...initial, ...Object.fromEntries(names.map((name) => [name, name])) };
    expect({ ...data }).toEqual(expected);
    expect(await saved()).toEqual(expected);
    expect(session.get('a\\.b')).toBe('a.b');
    for (const name of names) expect(delete data[name]).toBe(true);
    expect(await saved()).toEqual(initial);
    expect(typeof session.save).toBe('function');
  });

  it('__proto__ is refused, and reaches no prototype (S48)', async () => {
    expect(() => (data.__proto__ = { polluted: 1 })).toThrow(SessionError);
    expect(() => Object.defineProperty(data, '__proto__', { value: 1, enumerable: true })).toThrow(
      SessionError,
    );
    expect(() => Object.assign(data, JSON.parse('{"__proto__":{"polluted":1}}'))).toThrow(
      /"__proto__" cannot be a key/,
    );
    expect(delete data.__proto__).toBe(true);
    expect('__proto__' in data).toBe(false);
    expect(data.polluted).toBeUndefined();
    expect(({} as Bag).polluted).toBeUndefined();
    expect(await saved()).toEqual(initial);
  });

  it('a key with half a character is refused (S59)', () => {
    expect(() => (data['\ud83d'] = 1)).toThrow(/\\ud83d/);
    expect(data['\ud83d']).toBeUndefined();
    expect(delete data['\ud83d']).toBe(true);
  });

  it.each<[what: string, value: unknown]>([
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
  ])('%s is an error at the assignment that names the key, and changes nothing', async (_what, value) => {
    for (const assign of [
      () => (data.amount = value),
      () => (data.n = value),
      () => Object.assign(data, { amount: value }),
      () => Object.defineProperty(data, 'amount', { value }),
    ]) {
      const error = await failureOf(assign);
      expect(error).toBeInstanceOf(SessionError);
      expect(error.message).toMatch(/"amount"|"n"/);
    }
    expect({ ...data }).toEqual(initial);
    expect(await saved()).toEqual(initial);
  });

  it('Object.assign sets the keys, and stops at the one that is refused', () => {
    Object.assign(data, { n: 2, fresh: 1 });
    expect({ ...data }).toEqual({ ...initial, n: 2, fresh: 1 });
    expect(() => Object.assign(data, { n: 3, bad: () => 1, late: 1 })).toThrow(/"bad"/);
    expect({ ...data }).toEqual({ ...initial, n: 3, fresh: 1 });
  });

  it('a property can be defined as a plain value, and as nothing else', () => {
    Object.defineProperty(data, 'n', { value: 2 });
    Object.defineProperty(data, 'fresh', { value: 1, writable: true, enumerable: true, configurable: true });
    Object.defineProperty(data, 'name', { enumerable: true });
    Object.defineProperty(data, 'cart', { value: undefined });
    expect({ ...data }).toEqual({ n: 2, fresh: 1, name: 'Ada' });
    for (const descriptor of [
      { get: () => 1 },
      { set: () => undefined },
      { value: 1, writable: false },
      { value: 1, enumerable: false },
      { value: 1, configurable: false },
    ]) {
      expect(() => Object.defineProperty(data, 'n', descriptor)).toThrow(/'n' can only be a plain value/);
    }
    expect(data.n).toBe(2);
  });

  it('an object that inherits from it reads it, and keeps what is set to itself', async () => {
    const heir = Object.create(data) as Bag;
    expect([heir.n, 'n' in heir]).toEqual([1, true]);
    heir.n = 2;
    heir.own = 1;
    expect([heir.n, heir.own, Object.keys(heir)]).toEqual([2, 1, ['n', 'own']]);
    expect(await saved()).toEqual(initial);
  });

  it('a proxy around it writes through', () => {
    const outer = new Proxy(data, {});
    outer.n = 2;
    outer.fresh = 1;
    expect([data.n, data.fresh]).toEqual([2, 1]);
  });

  it('takes no other prototype and cannot be frozen: the error says why', () => {
    expect(Object.setPrototypeOf(data, null)).toBe(data);
    expect(() => Object.setPrototypeOf(data, {}) as unknown).toThrow(/has no prototype/);
    for (const freeze of [Object.freeze, Object.seal, Object.preventExtensions]) {
      expect(() => freeze(data)).toThrow(SessionError);
      expect(() => freeze(data)).toThrow(/copy, session\.toJSON\(\)/);
    }
    expect([Object.isExtensible(data), Object.isFrozen(data)]).toEqual([true, false]);
    data.n = 2;
    expect(data.n).toBe(2);
  });

  it('cannot be replaced: the error says what to do', () => {
    const writable = session as unknown as { data: unknown };
    expect(() => (writable.data = { n: 2 })).toThrow(SessionError);
    expect(() => (writable.data = { n: 2 })).toThrow(/Object\.assign\(session\.data/);
    expect(data.n).toBe(1);
  });

  it('structuredClone refuses it as it does every proxy, and takes session.toJSON()', () => {
    expect(() => structuredClone(data)).toThrow(/could not be cloned/);
    const copy = structuredClone(session.toJSON());
    expect(copy).toEqual(initial);
    copy.cart.items.push(1);
    expect(data.cart.items).toHaveLength(1);
  });

  it('reading a key decodes that key alone, and assigning decodes none', async () => {
    const decoded: string[] = [];
    const decode = (text: string) => (decoded.push(text), JSON.parse(text) as unknown);
    const counted = await open(kind, { codec: { encode: (value) => JSON.stringify(value), decode } });
    const { id } = await counted.store.create({ data: initial });
    const each = (await loaded(counted, id)).data;
    expect(decoded).toEqual([]);
    each.name = 'Grace';
    expect([each.n, each.n]).toEqual([1, 1]);
    expect('nothing' in each).toBe(false);
    expect(decoded).toEqual(['1']);
  });

  it('what cannot be decoded is not there, and can be deleted or replaced (S49)', async () => {
    await bench.storage.update(session.handle, { set: { n: '{', name: '{' } });
    session = await loaded(bench, session.id);
    data = session.data;
    expect(['n' in data, data.n, Object.keys(data)]).toEqual([false, undefined, ['cart']]);
    expect(inspect(data)).toBe(inspect({ cart: initial.cart }));
    delete data.n;
    data.name = 'Grace';
    await session.save();
    expect(stored(bench, session)).toEqual({ cart: initial.cart, name: 'Grace' });
  });

  it('reading a new visitor’s creates nothing, writing stores the session', async () => {
    const fresh = await visitor(bench);
    const seen = [fresh.data.n, 'n' in fresh.data, { ...fresh.data }, fresh.keys()];
    expect(seen).toEqual([undefined, false, {}, []]);
    const before = await bench.store.count();
    await fresh.save();
    expect(await bench.store.count()).toBe(before);
    fresh.data.n = 1;
    await fresh.save();
    expect(await bench.store.count()).toBe(before + 1);
  });

  it('an object that was taken before a logout is the new visitor’s afterwards', async () => {
    const request = await visitor(bench, `sid=${session.id}`);
    const mine = request.data as Bag;
    expect(mine.n).toBe(1);
    await request.logout();
    expect({ ...mine }).toEqual({});
    mine.notice = 'goodbye';
    expect(request.get('notice')).toBe('goodbye');
  });
});
