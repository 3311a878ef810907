import { deserialize, serialize } from 'node:v8';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { SessionError, SessionTooLargeError } from '../../src/index.js';
import type { SessionCodec } from '../../src/index.js';
import {
  type AnySession,
  type Bag,
  type Bench,
  failureOf,
  kinds,
  loaded,
  open,
  stored,
} from '../support/session-bench.js';

/** How often a storage was told to change data. */
const writes = ({ probe }: Bench) =>
  probe.of('update').filter(({ args: [, change] }) => change.set !== undefined || change.remove?.length)
    .length;

describe.each(kinds)('values in a session: %s', (kind) => {
  let bench: Bench;

  beforeEach(async () => {
    bench = await open(kind);
  });

  it.each([
    [null],
    [false],
    [true],
    [0],
    [-0.5],
    [1e21],
    [''],
    [' '],
    ['ü 日本 😀 \u0000 \u2028 "quoted" \\'],
    [[]],
    [[[1, [2, [null]]], []]],
    [{}],
    [{ a: { b: [{ c: null }] }, '': 0, 'with.dot': 1 }],
  ])('%j comes back as it was', async (value) => {
    const session = await bench.store.create();
    session.set('value', value);
    session.set('path.to.value', value);
    await session.save();
    const again = await loaded(bench, session.id);
    expect(again.get('value')).toEqual(value);
    expect(again.get('path.to.value')).toEqual(value);
    expect([again.has('value'), again.has('path.to.value')]).toEqual([true, true]);
    expect(again.toJSON()).toEqual({ value, path: { to: { value } } });
    expect(again.take('value')).toEqual(value);
    expect(again.has('value')).toBe(false);
  });

  it('with JSON, a Date comes back as its text', async () => {
    const { id } = await bench.store.create({ data: { at: new Date(0) } });
    expect((await loaded(bench, id)).get('at')).toBe('1970-01-01T00:00:00.000Z');
  });

  it('a value that was read and changed in place is saved', async () => {
    const { id } = await bench.store.create({ data: { cart: { items: [1] }, list: [{ n: 1 }], other: 1 } });
    const session = await loaded(bench, id);
    session.get('cart').items.push(2);
    session.get('list[0]').n = 2;
    await session.save();
    expect((await loaded(bench, id)).toJSON()).toEqual({
      cart: { items: [1, 2] },
      list: [{ n: 2 }],
      other: 1,
    });
    session.get('cart').items.push(3);
    await session.save();
    expect((await loaded(bench, id)).get('cart.items')).toEqual([1, 2, 3]);
  });

  it('a value that was set and changed in place after a save is saved', async () => {
    const session = await bench.store.create();
    session.set('cart', { items: [1] });
    await session.save();
    session.get('cart').items.push(2);
    await session.save();
    expect((await loaded(bench, session.id)).get('cart')).toEqual({ items: [1, 2] });
  });

  it('a value that create was given and is changed in place is saved', async () => {
    const session = await bench.store.create({ data: { cart: { items: [1] } } });
    session.get('cart').items.push(2);
    await session.save();
    expect((await loaded(bench, session.id)).get('cart')).toEqual({ items: [1, 2] });
  });

  it('in-place changes of one holder do not show to another before they are saved', async () => {
    const { id } = await bench.store.create({ data: { cart: { items: [1] } } });
    const [one, two] = [await loaded(bench, id), await loaded(bench, id)];
    one.get('cart').items.push(2);
    expect(two.get('cart.items')).toEqual([1]);
    expect((await loaded(bench, id)).get('cart.items')).toEqual([1]);
  });

  it('what a caller does to its object after create changes nothing that is stored', async () => {
    const data = { cart: { items: [1] } };
    const { id } = await bench.store.create({ data });
    data.cart.items.push(2);
    expect((await loaded(bench, id)).get('cart.items')).toEqual([1]);
  });

  it.each<[title: string, change: (session: AnySession) => void]>([
    ['an equal primitive', (session) => session.set('n', 1)],
    ['an equal object', (session) => session.set('cart', { items: [{ qty: 1 }], note: null })],
    ['an equal value by path', (session) => session.set('cart.items[0].qty', 1)],
    ['a value and then the old one', (session) => (session.set('n', 2), session.set('n', 1))],
    ['a key removed and set again', (session) => (session.remove('n'), session.set('n', 1))],
    ['a new key that is removed again', (session) => (session.set('new', 1), session.remove('new'))],
    [
      'an in-place change taken back',
      (session) => [1, null].forEach((note) => (session.get('cart').note = note)),
    ],
    ['removing what is not there', (session) => void session.remove('nothing')],
    ['all read', (session) => void [session.toJSON(), session.keys(), session.get('cart'), session.has('n')]],
  ])('no change, no write: %s', async (_title, change) => {
    const { id } = await bench.store.create({ data: { n: 1, cart: { items: [{ qty: 1 }], note: null } } });
    const session = await loaded(bench, id);
    const before = bench.probe.peek(session.handle)!;
    change(session);
    await session.save();
    expect(writes(bench)).toBe(0);
    expect(bench.probe.peek(session.handle)).toEqual(before);
  });

  it('only the keys that changed are written', async () => {
    const { id } = await bench.store.create({ data: { a: 1, b: { c: 1 }, d: 1 } });
    const session = await loaded(bench, id);
    session.set('b.c', 2);
    session.set('d', 1);
    session.remove('a');
    await session.save();
    expect(bench.probe.of('update')).toHaveLength(1);
    const [, change] = bench.probe.of('update')[0]!.args;
    expect(Object.keys(change.set)).toEqual(['b']);
    expect(change.remove).toEqual(['a']);
  });

  const circular: Bag = { name: 'loop' };
  circular.self = circular;

  it.each<[title: string, value: unknown]>([
    ['a bigint', 1n],
    ['a bigint deep inside', { a: [{ b: 1n }] }],
    ['a circle', circular],
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
    [
      'a toJSON that throws',
      {
        toJSON() {
          throw new Error('no');
        },
      },
    ],
    ['a toJSON that gives nothing', { toJSON: () => undefined }],
  ])('%s cannot be stored: the error names the key, and nothing is stored', async (_title, value) => {
    const { id, handle } = await bench.store.create({ data: { n: 1 } });
    const session = await loaded(bench, id);
    const before = bench.probe.peek(handle);
    const error = await failureOf(async () => {
      session.set('before', 2);
      session.set('amount', value);
      await session.save();
    });
    expect(error).toBeInstanceOf(SessionError);
    expect(error.message).toContain('amount');
    expect(bench.probe.peek(handle)).toEqual(before);
    session.remove('amount');
    await session.save();
    expect(stored(bench, session)).toEqual({ n: 1, before: 2 });
  });

  it('a session that cannot be stored is not created', async () => {
    const error = await failureOf(() => bench.store.create({ data: { ok: 1, amount: 1n } }));
    expect(error).toBeInstanceOf(SessionError);
    expect(error.message).toContain('amount');
    expect(await bench.store.isEmpty()).toBe(true);
  });

  it('a flash that cannot be stored is an error that names its key', async () => {
    const session = await bench.store.create();
    const error = await failureOf(async () => {
      session.flash('notice', 1n);
      await session.save();
    });
    expect(error).toBeInstanceOf(SessionError);
    expect(error.message).toContain('notice');
  });
});

describe.each(kinds)('a codec: %s', (kind) => {
  const v8: SessionCodec = {
    encode: (value) => serialize(value).toString('base64'),
    decode: (text) => deserialize(Buffer.from(text, 'base64')) as unknown,
  };

  it('keeps what JSON would lose, through save, tap and create', async () => {
    const bench = await open(kind, { codec: v8 });
    const value = {
      map: new Map([['a', new Set([1n])]]),
      at: new Date(5),
      big: 2n ** 80n,
      bytes: new Uint8Array([1, 2]),
    };
    const session = await bench.store.create({ data: { created: value } });
    session.set('saved', value);
    await session.save();
    await session.tap((data) => void (data.tapped = value));
    const again = await loaded(bench, session.id);
    expect(again.toJSON()).toEqual({ created: value, saved: value, tapped: value });
    expect(again.get('saved').map.get('a').has(1n)).toBe(true);
    expect(again.get('saved.big')).toBe(2n ** 80n);
  });

  it('an equal value is no write, a Map changed in place is one', async () => {
    const bench = await open(kind, { codec: v8 });
    const { id } = await bench.store.create({ data: { map: new Map([['a', 1]]) } });
    const session = await loaded(bench, id);
    session.set('map', new Map([['a', 1]]));
    await session.save();
    expect(writes(bench)).toBe(0);
    session.get('map').set('b', 2);
    await session.save();
    expect((await loaded(bench, id)).get('map')).toEqual(
      new Map([
        ['a', 1],
        ['b', 2],
      ]),
    );
  });

  describe('that writes one value in many ways', () => {
    let count = 0;
    const restless: SessionCodec = {
      encode: (value) => `${count++}:${v8.encode(value)}`,
      decode: (text) => v8.decode(text.slice(text.indexOf(':') + 1)),
    };
    class Money {
      #cents = 0;
      add(cents: number) {
        this.#cents += cents;
      }
      toString() {
        return String(this.#cents);
      }
    }

    it('what is only read, or set to what it was, is not written', async () => {
      const bench = await open(kind, { codec: restless });
      const data = { n: 1, map: new Map([['a', { at: new Date(1) }]]), list: [1] };
      const { id } = await bench.store.create({ data });
      const session = await loaded(bench, id);
      void [session.get('map').get('a').at, session.data.list];
      session.set('n', 1);
      session.set('list', [1]);
      await session.save();
      await session.save();
      expect(await session.tap((tapped) => tapped.map.size)).toBe(1);
      expect(writes(bench)).toBe(0);
    });

    it('what was changed is, the order of things included', async () => {
      const bench = await open(kind, { codec: restless });
      const { id } = await bench.store.create({ data: { map: new Map([['a', 1], ['b', 2]]), keys: { a: 1, b: 2 } } }); // prettier-ignore
      const session = await loaded(bench, id);
      session.get('map').delete('a');
      session.get('map').set('a', 1);
      delete session.get('keys').a;
      session.get('keys').a = 1;
      await session.save();
      const again = await loaded(bench, id);
      expect([[...again.get('map').keys()], Object.keys(again.get('keys'))]).toEqual([['b', 'a'], ['b', 'a']]); // prettier-ignore
    });

    it('a value of a class, of which nobody can see whether it changed, is', async () => {
      const codec: SessionCodec = {
        encode: (value) => `${count++}:${String(value)}`,
        decode: (text) => {
          const money = new Money();
          money.add(Number(text.split(':')[1]));
          return money;
        },
      };
      const bench = await open(kind, { codec });
      const { id } = await bench.store.create({ data: { money: new Money() } });
      const session = await loaded(bench, id);
      session.get('money').add(5);
      await session.save();
      expect(String((await loaded(bench, id)).get('money'))).toBe('5');
    });

    it('what a tap made of a value is seen by who had read it', async () => {
      const bench = await open(kind, { codec: restless });
      const session = await bench.store.create({ data: { cart: { n: 1 } } });
      expect(session.get('cart.n')).toBe(1);
      await session.tap((data) => data.cart.n++);
      expect(session.get('cart.n')).toBe(2);
      await session.save();
      expect((await loaded(bench, session.id)).get('cart.n')).toBe(2);
    });
  });

  it.each<[title: string, encode: (value: unknown) => unknown]>([
    [
      'throws',
      () => {
        throw new Error('cannot');
      },
    ],
    ['gives no string but bytes', (value) => serialize(value)],
    ['gives undefined', () => undefined],
    ['gives a promise', (value) => Promise.resolve(JSON.stringify(value))],
  ])('that %s is an error that names the key, and nothing is stored', async (_title, encode) => {
    const codec = { encode: encode as SessionCodec['encode'], decode: JSON.parse };
    const bench = await open(kind, { codec });
    const error = await failureOf(() => bench.store.create({ data: { basket: 1 } }));
    expect(error).toBeInstanceOf(SessionError);
    expect(error.message).toContain('basket');
    expect(await bench.store.count()).toBe(0);
  });

  it('sees one value per key, and only those that are read (design: decoding a user id decodes the user id)', async () => {
    const decoded: string[] = [];
    const codec: SessionCodec = {
      encode: (value) => JSON.stringify(value),
      decode: (text) => (decoded.push(text), JSON.parse(text) as unknown),
    };
    const bench = await open(kind, { codec });
    const { id } = await bench.store.create({ data: { a: { n: 1 }, b: 2 } });
    const session = await loaded(bench, id);
    expect(session.get('b')).toBe(2);
    expect(decoded).toEqual(['2']);
  });
});

describe.each(kinds)('maxBytes: %s', (kind) => {
  const MAX = 1_000;
  let bench: Bench;

  beforeEach(async () => {
    bench = await open(kind, { maxBytes: MAX });
  });

  const fits = (data: Bag) =>
    bench.store.create({ data }).then(
      () => true,
      (error: unknown) => {
        expect(error).toBeInstanceOf(SessionTooLargeError);
        return false;
      },
    );

  /** The longest text of one-byte letters that one key can hold. */
  async function longest(key = 'k'): Promise<number> {
    let length = MAX;
    while (!(await fits({ [key]: 'x'.repeat(length) }))) length--;
    return length;
  }

  it('data of exactly that size is stored, one byte more is SessionTooLargeError (S55)', async () => {
    const length = await longest();
    // The limit is of the encoded text: two quotes, and at most the key beside it.
    expect(length).toBeLessThanOrEqual(MAX - 2);
    expect(length).toBeGreaterThanOrEqual(MAX - 8);
    const before = await bench.store.count();
    const error = await failureOf(() => bench.store.create({ data: { k: 'x'.repeat(length + 1) } }));
    expect(error).toBeInstanceOf(SessionTooLargeError);
    expect(error.message).toContain(String(MAX));
    expect(error.message).toContain(String(MAX + 1));
    expect(await bench.store.count()).toBe(before);
  });

  it.each(['é', '日', '😀'])('letters count as their bytes: %s', async (letter) => {
    const bytes = Buffer.byteLength(letter);
    const length = Math.floor((await longest()) / bytes);
    expect(await fits({ k: letter.repeat(length) })).toBe(true);
    expect(await fits({ k: letter.repeat(length + 1) })).toBe(false);
  });

  it.each(['é', '日', '😀'])(
    'letters count as their bytes when a stored session grows: %s',
    async (letter) => {
      const bytes = Buffer.byteLength(letter);
      const length = Math.floor((await longest()) / bytes);
      const { id } = await bench.store.create();
      const session = await loaded(bench, id);
      session.set('k', letter.repeat(length));
      await session.save();
      const again = await loaded(bench, id);
      again.set('k', letter.repeat(length + 1));
      await expect(again.save()).rejects.toThrow(SessionTooLargeError);
    },
  );

  it('all keys together count, those that are stored already included', async () => {
    expect(await fits({ a: 'x'.repeat(600), b: 'x'.repeat(600) })).toBe(false);
    const { id } = await bench.store.create({ data: { a: 'x'.repeat(600) } });
    const session = await loaded(bench, id);
    session.set('b', 'x'.repeat(600));
    await expect(session.save()).rejects.toThrow(SessionTooLargeError);
    expect(stored(bench, session)).toEqual({ a: 'x'.repeat(600) });
  });

  it('what was removed or made smaller makes room', async () => {
    const { id } = await bench.store.create({ data: { a: 'x'.repeat(600), b: 'x'.repeat(300) } });
    const session = await loaded(bench, id);
    session.remove('a');
    session.set('b', 'x');
    session.set('c', 'x'.repeat(900));
    await session.save();
    expect((await loaded(bench, id)).get('c')).toHaveLength(900);
  });

  it('where several writers together were too much, only what makes it smaller is stored (S55)', async () => {
    const { id } = await bench.store.create({ data: { a: 'x'.repeat(200) } });
    const writers = [await loaded(bench, id), await loaded(bench, id)];
    for (const [i, writer] of writers.entries()) writer.set(`by${i}`, 'x'.repeat(600));
    for (const writer of writers) await writer.save();

    const session = await loaded(bench, id);
    session.set('a', 'y'.repeat(200));
    await expect(session.save()).rejects.toThrow(SessionTooLargeError);
    session.set('a', 'y'.repeat(100));
    await session.save();
    session.remove('by0');
    await session.save();
    session.set('b', 'x'.repeat(100));
    await session.save();
    expect(Object.keys(stored(bench, session)!).toSorted()).toEqual(['a', 'b', 'by1']);
  });

  it('a session that was too large is usable when it is smaller again', async () => {
    const { id } = await bench.store.create({ data: { a: 1 } });
    const session = await loaded(bench, id);
    session.set('big', 'x'.repeat(2_000));
    session.set('small', 2);
    await expect(session.save()).rejects.toThrow(SessionTooLargeError);
    expect(stored(bench, session)).toEqual({ a: 1 });
    session.remove('big');
    await session.save();
    expect(stored(bench, session)).toEqual({ a: 1, small: 2 });
  });

  it('flashes count as well: they are stored with the session', async () => {
    const session = await bench.store.create();
    session.flash('notice', 'x'.repeat(2_000));
    await expect(session.save()).rejects.toThrow(SessionTooLargeError);
  });

  it('the default is 65,536 bytes', async () => {
    const { store } = await open(kind);
    await store.create({ data: { k: 'x'.repeat(65_500) } });
    await expect(store.create({ data: { k: 'x'.repeat(65_536) } })).rejects.toThrow(/65536|65,536/);
  });
});

describe.each(kinds)('a stored value that cannot be decoded: %s', (kind) => {
  let bench: Bench;
  let session: AnySession;

  beforeEach(async () => {
    bench = await open(kind);
    const { id, handle } = await bench.store.create({ data: { cart: { n: 1 }, other: 1 }, userId: 'ada' });
    await bench.storage.update(handle, { set: { cart: '{broken' } });
    session = await loaded(bench, id);
    bench.events.length = 0;
  });

  const corrupt = () => bench.events.filter(({ type }) => type === 'corrupt');

  it.each<[member: string, read: (session: AnySession) => unknown]>([
    ['get', (each) => each.get('cart')],
    ['get of a path', (each) => each.get('cart.n')],
    ['take', (each) => each.take('cart')],
    ['replace', (each) => each.replace('cart', 1)],
    ['toJSON', (each) => each.toJSON().cart],
  ])('%s reads it as undefined, with an event that names the session (S49)', async (_member, read) => {
    expect(read(session)).toBeUndefined();
    expect(corrupt().length).toBeGreaterThan(0);
    expect(corrupt()[0]).toMatchObject({ type: 'corrupt', handle: session.handle });
  });

  it('has says no, and what stands beside it reads as ever', async () => {
    expect(session.has('cart')).toBe(false);
    expect(session.get('other')).toBe(1);
    expect(session.userId).toBe('ada');
    expect(session.toJSON()).toEqual({ other: 1 });
  });

  it('saving another key neither fails nor destroys anything', async () => {
    session.get('cart');
    session.set('other', 2);
    await session.save();
    const record = bench.probe.peek(session.handle)!;
    expect(record.data).toEqual({ cart: '{broken', other: '2' });
  });

  it('a tap sees the rest, and destroys none of it', async () => {
    const seen = await session.tap((data) => {
      const { ...copy } = data;
      data.other++;
      return copy;
    });
    expect(seen.cart).toBeUndefined();
    expect(seen.other).toBe(1);
    expect((await loaded(bench, session.id)).get('other')).toBe(2);
  });

  it.each<[member: string, heal: (session: AnySession) => void, left: Bag]>([
    ['set', (each) => each.set('cart', { n: 2 }), { cart: '{"n":2}', other: '1' }],
    ['set of a path', (each) => each.set('cart.n', 2), { cart: '{"n":2}', other: '1' }],
    ['remove', (each) => void each.remove('cart'), { other: '1' }],
    ['clear', (each) => each.clear(), {}],
  ])('%s puts something sound in its place', async (_member, heal, left) => {
    heal(session);
    await session.save();
    expect(bench.probe.peek(session.handle)!.data).toEqual(left);
  });

  it('it does not hide the session from a list', async () => {
    const [info] = await bench.store.listByUser('ada');
    expect(info).toMatchObject({ handle: session.handle, data: { other: 1 } });
  });
});
