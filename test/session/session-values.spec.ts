import { describe, expect, it } from '@jest/globals';
import { SessionError } from '../../src/index.js';
import { ValueCodec } from '../../src/session/value-codec.js';
import { SessionValues, type ValueChange } from '../../src/session/values.js';

const json = { encode: JSON.stringify, decode: JSON.parse } as const;

/** Data as it is stored. */
const texts = (data: object): Record<string, string> =>
  Object.fromEntries(Object.entries(data).map(([key, value]) => [key, JSON.stringify(value)]));
const holder = (data: object = {}) => new SessionValues(new ValueCodec({ codec: json }), texts(data));

/** What is not stored yet, values decoded. */
function changes(values: SessionValues): { set: object; remove: string[] } | undefined {
  const change = values.collect(false);
  if (!change) return undefined;
  const set = Object.fromEntries(Object.entries(change.set).map(([key, text]) => [key, JSON.parse(text)]));
  return { set, remove: change.remove };
}

/** Saves what changed, as the core does. */
function save(values: SessionValues): ValueChange | undefined {
  const change = values.collect(false);
  if (change) values.saved(change);
  return change;
}

describe('what differs from what is stored', () => {
  it('is nothing for a holder that did nothing', () => {
    expect(changes(holder({ n: 1 }))).toBeUndefined();
    expect(changes(new SessionValues(new ValueCodec({ codec: json })))).toBeUndefined();
  });

  it('is what was set, removed and changed in place, and not what was only read', () => {
    const values = holder({ n: 1, gone: 1, cart: { items: [1] }, read: { a: 1 }, same: 1 });
    values.set('n', 2);
    values.set('same', 1);
    values.remove('gone');
    values.remove('never there');
    (values.get('cart') as { items: number[] }).items.push(2);
    values.get('read');
    expect(changes(values)).toEqual({ set: { n: 2, cart: { items: [1, 2] } }, remove: ['gone'] });
  });

  it('is asked as often as one likes: it stays until it is saved', () => {
    const values = holder({ n: 1 });
    values.set('n', 2);
    const change = values.collect(false)!;
    expect(values.collect(false)).toEqual(change);
    values.saved(change);
    expect(values.collect(false)).toBeUndefined();
  });

  it('is compared with what was saved last, in place and by setting', () => {
    const values = holder({ cart: { n: 1 }, gone: 1 });
    values.set('cart.n', 2);
    values.remove('gone');
    values.set('fresh', 1);
    save(values);
    expect(changes(values)).toBeUndefined();
    (values.get('cart') as { n: number }).n = 1;
    values.set('gone', 1);
    values.remove('fresh');
    expect(changes(values)).toEqual({ set: { cart: { n: 1 }, gone: 1 }, remove: ['fresh'] });
  });

  it('keeps what was set while a save was under way', () => {
    const values = holder({ n: 1 });
    values.set('n', 2);
    const saving = values.collect(false)!;
    values.set('n', 3);
    values.set('late', 1);
    values.saved(saving);
    expect(changes(values)).toEqual({ set: { n: 3, late: 1 }, remove: [] });
  });

  it('is there again if the old value is set while a save was under way', () => {
    const values = holder({ n: 1 });
    values.set('n', 2);
    const saving = values.collect(false)!;
    values.set('n', 1);
    values.saved(saving);
    expect(changes(values)).toEqual({ set: { n: 1 }, remove: [] });
  });

  it('an unread value that was overwritten with the same is no difference', () => {
    const values = holder({ cart: { items: [1] } });
    values.set('cart', { items: [1] });
    expect(changes(values)).toBeUndefined();
  });

  it('a value whose text the codec would write differently is left alone if it is only read', () => {
    const values = new SessionValues(new ValueCodec({ codec: json }), { n: '1.0', text: '"\\u0061"' });
    expect([values.get('n'), values.get('text')]).toEqual([1, 'a']);
    expect(values.collect(false)).toBeUndefined();
  });

  it('what cannot be decoded is left alone, read or not, and goes when it is removed or cleared', () => {
    const broken = () => new SessionValues(new ValueCodec({ codec: json }), { bad: '{', worse: '{', n: '1' });
    const values = broken();
    expect([values.get('bad'), values.toJSON()]).toEqual([undefined, { n: 1 }]);
    expect(values.collect(false)).toBeUndefined();
    expect(values.remove('bad')).toBe(false);
    expect(values.collect(false)).toEqual({ set: {}, remove: ['bad'] });
    const cleared = broken();
    cleared.get('bad');
    cleared.clear();
    expect(cleared.collect(false)!.remove.toSorted()).toEqual(['bad', 'n', 'worse']);
  });

  it('the whole with a change, and without', () => {
    const values = holder({ n: 1, gone: 1 });
    values.set('n', 2);
    values.remove('gone');
    values.set('fresh', 1);
    const change = values.collect(false);
    expect(values.with(undefined)).toEqual(texts({ n: 1, gone: 1 }));
    expect(values.with(change)).toEqual(texts({ n: 2, fresh: 1 }));
    values.saved(change!);
    expect(values.with(undefined)).toEqual(texts({ n: 2, fresh: 1 }));
  });

  it('what is stored is never changed, nor a change that was handed out', () => {
    const stored = Object.freeze(texts({ n: 1, cart: { items: [1] } }));
    const values = new SessionValues(new ValueCodec({ codec: json }), stored);
    values.set('n', 2);
    values.set('cart.items[1]', 2);
    const change = values.collect(false)!;
    Object.freeze(change.set);
    Object.freeze(change.remove);
    values.saved(change);
    values.remove('n');
    values.saved(values.collect(false)!);
    expect(stored).toEqual(texts({ n: 1, cart: { items: [1] } }));
    expect(values.with(undefined)).toEqual(texts({ cart: { items: [1, 2] } }));
  });

  it('a change that was saved is worked in once', () => {
    const values = holder({ n: 1 });
    values.set('n', 2);
    save(values);
    expect(values.with(undefined)).toBe(values.with(undefined));
  });

  it('reading what is not there is no sign of damage', () => {
    const corrupt: string[] = [];
    const values = new SessionValues(new ValueCodec({ codec: json }, (key) => corrupt.push(key)), {
      bad: '{',
    });
    expect([values.get('nothing'), values.get('nothing.x'), corrupt]).toEqual([undefined, undefined, []]);
    values.get('bad');
    values.get('bad');
    expect(corrupt).toEqual(['bad']);
  });

  it('two saves without a look between them are both worked in', () => {
    const values = holder({ a: 1 });
    values.set('a', 2);
    save(values);
    values.set('b', 2);
    save(values);
    expect(values.toJSON()).toEqual({ a: 2, b: 2 });
    expect(values.keys()).toEqual(['a', 'b']);
  });
});

describe('whether something may have to be saved', () => {
  it.each<[title: string, differs: boolean, stored: object]>([
    ['nothing is stored', false, {}],
    ['no flash waits', false, { n: 1, cart: {} }],
    ['a flash waits, which has to end', true, { n: 1, '~flash:1:a': [['saved', true]] }],
  ])('before anything was done, where %s: %s', (_title, differs, stored) => {
    const values = holder(stored);
    expect([values.wasUsed, values.mayDiffer]).toEqual([differs, differs]);
    values.collect(true);
    expect(values.wasUsed).toBe(differs);
  });

  it.each<[title: string, used: boolean, use: (values: SessionValues) => void]>([
    ['reading a number', false, (values) => values.get('n')],
    ['reading what is not there', false, (values) => values.get('nothing')],
    ['asking for the keys', false, (values) => values.keys()],
    ['reading an object', true, (values) => values.get('cart')],
    ['reading inside an object', true, (values) => values.get('cart.items')],
    ['setting', true, (values) => values.set('n', 1)],
    ['removing', true, (values) => values.remove('n')],
    ['assigning', true, (values) => values.assign({ n: 1 }, 'data')],
    ['clearing', true, (values) => values.clear()],
    ['flashing', true, (values) => values.flashes.flash('a', 1)],
  ])('once all was compared, after %s: %s', (_title, used, use) => {
    const values = holder({ n: 1, cart: { items: [] } });
    values.collect(true);
    use(values);
    expect([values.wasUsed, values.mayDiffer]).toEqual([used, used]);
  });

  it('reading an object again counts again', () => {
    const values = holder({ cart: {} });
    values.get('cart');
    values.collect(false);
    expect(values.wasUsed).toBe(false);
    values.get('cart');
    expect(values.wasUsed).toBe(true);
  });

  it('an object that is out may change at any time, though nobody asks for it again', () => {
    const values = holder({ cart: { n: 1 } });
    const cart = values.get('cart') as { n: number };
    values.collect(false);
    expect([values.wasUsed, values.mayDiffer]).toEqual([false, true]);
    cart.n = 2;
    expect(changes(values)).toEqual({ set: { cart: { n: 2 } }, remove: [] });
  });

  it('what was collected may have to be saved until it is', () => {
    const values = holder();
    values.set('n', 1);
    const change = values.collect(false)!;
    expect([values.wasUsed, values.mayDiffer]).toEqual([true, true]);
    values.saved(change);
    expect([values.wasUsed, values.mayDiffer]).toEqual([false, false]);
  });

  it('what was set while it was being saved counts afterwards', () => {
    const values = holder();
    values.set('n', 1);
    const change = values.collect(false)!;
    values.set('n', 2);
    values.saved(change);
    expect(values.wasUsed).toBe(true);
  });

  it('what could not be saved still counts when a tap has saved something else', () => {
    const values = holder();
    const draft = values.draft();
    values.set('failed', 1);
    values.collect(false);
    draft.data.tapped = 1;
    values.saved(draft.settle()!);
    draft.accept();
    expect(values.mayDiffer).toBe(true);
    expect(changes(values)).toEqual({ set: { failed: 1 }, remove: [] });
  });

  it('what cannot be encoded still counts after the error', () => {
    const values = holder({ cart: {} });
    values.collect(true);
    const cart = values.get('cart') as { n?: unknown };
    cart.n = 1n;
    expect(() => values.collect(true)).toThrow(/"cart"/);
    expect(values.wasUsed).toBe(true);
  });
});

describe('going on from what another holder has stored', () => {
  it('a value that was only read gives way to the newer one', () => {
    const values = holder({ n: 1, cart: { items: [1] }, gone: 1 });
    values.get('n');
    values.get('gone');
    const cart = values.get('cart');
    values.rebase(texts({ n: 2, cart: { items: [1, 2] }, fresh: 1 }));
    expect(values.toJSON()).toEqual({ n: 2, cart: { items: [1, 2] }, fresh: 1 });
    expect(values.get('cart')).not.toBe(cart);
    expect(values.keys().toSorted()).toEqual(['cart', 'fresh', 'n']);
    expect(changes(values)).toBeUndefined();
  });

  it('a value that the other left alone stays the very same object', () => {
    const values = holder({ cart: { items: [1] }, n: 1 });
    const cart = values.get('cart');
    values.rebase(texts({ cart: { items: [1] }, n: 2 }));
    expect(values.get('cart')).toBe(cart);
  });

  it('what this holder changed stays to be saved', () => {
    const values = holder({ set: 1, place: { n: 1 }, removed: 1, both: 1 });
    values.set('set', 2);
    (values.get('place') as { n: number }).n = 2;
    values.remove('removed');
    values.remove('both');
    values.rebase(texts({ set: 3, place: { n: 3 }, removed: 3 }));
    expect(values.toJSON()).toEqual({ set: 2, place: { n: 2 } });
    expect(changes(values)).toEqual({ set: { set: 2, place: { n: 2 } }, remove: ['removed'] });
  });

  it('what this holder changed is compared with what the other stored', () => {
    const values = holder({ n: 1 });
    values.set('n', 2);
    values.rebase(texts({ n: 2 }));
    expect(changes(values)).toBeUndefined();
  });

  it('a change of this holder that was saved is not worked in once more', () => {
    const values = holder({ n: 1 });
    values.set('n', 2);
    save(values);
    values.rebase(texts({ n: 3 }));
    expect(values.get('n')).toBe(3);
    expect(values.with(undefined)).toEqual(texts({ n: 3 }));
    expect(changes(values)).toBeUndefined();
  });

  it('what cannot be decoded any more reads as undefined', () => {
    const corrupt: string[] = [];
    const values = new SessionValues(new ValueCodec({ codec: json }, (key) => corrupt.push(key)), { n: '1' });
    values.get('n');
    values.rebase({ n: '{' });
    expect([values.get('n'), corrupt]).toEqual([undefined, ['n']]);
  });
});

describe('a draft', () => {
  it('has what the holder sees, unsaved changes included, as an object of its own', () => {
    const values = holder({ n: 1, cart: { items: [1] }, gone: 1 });
    values.set('n', 2);
    values.remove('gone');
    (values.get('cart') as { items: number[] }).items.push(2);
    const { data } = values.draft();
    expect(data).toEqual({ n: 2, cart: { items: [1, 2] } });
    expect(Object.getPrototypeOf(data)).toBe(Object.prototype);
    (data.cart as { items: number[] }).items.push(3);
    expect(values.get('cart.items')).toEqual([1, 2]);
  });

  it('settles what differs from what is stored, what the holder had changed before included', () => {
    const values = holder({ n: 1, cart: { items: [1] }, gone: 1, same: 1, undone: 1 });
    values.set('before', 1);
    values.set('undone', 2);
    const draft = values.draft();
    draft.data.n = 2;
    (draft.data.cart as { items: number[] }).items.push(2);
    delete draft.data.gone;
    draft.data.undone = 1;
    draft.data.fresh = 1;
    draft.data.nothing = undefined;
    expect(draft.settle()).toEqual({
      set: texts({ n: 2, cart: { items: [1, 2] }, before: 1, fresh: 1 }),
      remove: ['gone'],
    });
  });

  it('settles nothing if nothing differs', () => {
    const draft = holder({ n: 1 }).draft();
    expect(draft.settle()).toBeUndefined();
    draft.data.n = 2;
    expect(draft.settle()).toEqual({ set: { n: '2' }, remove: [] });
    draft.data.n = 1;
    expect(draft.settle()).toBeUndefined();
    delete draft.data.n;
    expect(draft.settle()).toEqual({ set: {}, remove: ['n'] });
  });

  it('once accepted, the holder sees its result, and nothing is left to be saved', () => {
    const values = holder({ n: 1, cart: { items: [1] }, gone: 1, other: { a: 1 } });
    const [cart, other] = [values.get('cart'), values.get('other')];
    values.get('n');
    values.get('gone');
    values.set('fresh', 0);
    const draft = values.draft();
    draft.data.n = 2;
    draft.data.cart = { items: [] };
    draft.data.fresh = 1;
    delete draft.data.gone;
    values.saved(draft.settle()!);
    draft.accept();
    expect(values.toJSON()).toEqual({ n: 2, cart: { items: [] }, other: { a: 1 }, fresh: 1 });
    expect(values.get('cart')).not.toBe(cart);
    expect(values.get('other')).toBe(other);
    expect(values.collect(false)).toBeUndefined();
  });

  it('once accepted, what it took back is taken back for the holder, though nothing was to be saved', () => {
    const values = holder({ n: 1 });
    values.set('n', 2);
    const draft = values.draft();
    draft.data.n = 1;
    expect(draft.settle()).toBeUndefined();
    draft.accept();
    expect(values.get('n')).toBe(1);
    expect(values.collect(false)).toBeUndefined();
  });

  it('what the holder set while it was out stays, and stays to be saved', () => {
    const values = holder({ n: 1, place: { n: 1 }, removed: 1 });
    const place = values.get('place') as { n: number };
    const draft = values.draft();
    values.set('n', 5);
    place.n = 5;
    values.remove('removed');
    draft.data.n = 2;
    (draft.data.place as { n: number }).n = 2;
    draft.data.removed = 2;
    values.saved(draft.settle()!);
    draft.accept();
    expect(values.toJSON()).toEqual({ n: 5, place: { n: 5 } });
    expect(changes(values)).toEqual({ set: { n: 5, place: { n: 5 } }, remove: ['removed'] });
  });

  it('one that is accepted before it was settled changes nothing', () => {
    const values = holder({ n: 1 });
    values.get('n');
    const draft = values.draft();
    draft.data.n = 2;
    draft.accept();
    expect(values.get('n')).toBe(1);
  });

  it('one that is not accepted leaves the holder as it was', () => {
    const values = holder({ n: 1 });
    values.set('m', 1);
    const draft = values.draft();
    draft.data.n = 2;
    delete draft.data.m;
    draft.settle();
    expect(values.toJSON()).toEqual({ n: 1, m: 1 });
    expect(changes(values)).toEqual({ set: { m: 1 }, remove: [] });
  });

  it('loses neither flashes nor what cannot be decoded', () => {
    const before = holder();
    before.flashes.flash('notice', 'hi');
    const values = new SessionValues(new ValueCodec({ codec: json }), {
      ...before.with(before.collect(false)),
      bad: '{',
      n: '1',
    });
    values.flashes.flash('own', 1);
    const draft = values.draft();
    expect(draft.data).toEqual({ n: 1 });
    draft.data.n = 2;
    const change = draft.settle()!;
    expect([change.remove, Object.keys(change.set).length, change.set.n]).toEqual([[], 2, '2']);
    values.saved(change);
    draft.accept();
    const next = new SessionValues(new ValueCodec({ codec: json }), values.with(undefined));
    expect([next.flashes.flashed('notice'), next.flashes.flashed('own')]).toEqual(['hi', 1]);
    expect(next.with(undefined).bad).toBe('{');
  });

  it('puts a value in the place of what cannot be decoded', () => {
    const draft = new SessionValues(new ValueCodec({ codec: json }), { bad: '{' }).draft();
    draft.data.bad = 1;
    expect(draft.settle()).toEqual({ set: { bad: '1' }, remove: [] });
  });

  it.each<[wrong: string, change: (data: Record<string, unknown>) => void, named: RegExp]>([
    ['a value that cannot be encoded', (data) => (data.amount = 1n), /"amount"/],
    ['a function', (data) => (data.fn = () => 1), /"fn" is a function/],
    ['a key of flashes', (data) => (data['~flash:1:x'] = []), /~flash/],
    [
      '__proto__ as a key',
      (data) => Object.defineProperty(data, '__proto__', { value: 1, enumerable: true }),
      /__proto__/,
    ],
    ['a key with half a character', (data) => (data['\ud83d'] = 1), /\\ud83d/],
  ])('%s fails it, and names it', (_wrong, change, named) => {
    const draft = holder({ n: 1 }).draft();
    change(draft.data);
    expect(() => draft.settle()).toThrow(SessionError);
    expect(() => draft.settle()).toThrow(named);
  });
});

describe('the size', () => {
  const bytesIn = (stored: object) =>
    Object.entries(stored).reduce((sum, [key, text]) => sum + Buffer.byteLength(key + text), 0);

  it.each(['a', 'é', '日', '😀', '\ud83d'])('is of UTF-8 bytes, keys and values: %j', (letter) => {
    const stored = { [letter === '\ud83d' ? 'k' : letter.repeat(3)]: letter.repeat(5), n: '1' };
    const values = new SessionValues(new ValueCodec({ codec: json }), stored);
    expect(values.bytes()).toBe(bytesIn(stored));
    expect(values.bytesWith({ set: {}, remove: [] }, 0)).toBe(bytesIn(stored));
  });

  it('of what would be stored counts a key once, and not what is removed', () => {
    const values = new SessionValues(new ValueCodec({ codec: json }), { a: '"日本"', b: '1', gone: '"é"' });
    const change = { set: { a: '"é"', fresh: '22' }, remove: ['gone'] };
    expect(values.bytesWith(change, 0)).toBe(bytesIn({ a: '"é"', b: '1', fresh: '22' }));
    expect(values.bytes()).toBe(bytesIn({ a: '"日本"', b: '1', gone: '"é"' }));
    values.saved(change);
    expect(values.bytes()).toBe(bytesIn({ a: '"é"', b: '1', fresh: '22' }));
  });

  it('of what would be stored is a bound where that is within the limit, and never less than it takes', () => {
    const values = new SessionValues(new ValueCodec({ codec: json }), { a: '日'.repeat(10) });
    const change = { set: { b: '日'.repeat(10) }, remove: [] };
    const exact = 2 * 31;
    for (const limit of [exact - 1, exact, exact + 1, 65, 66, 67, 1_000]) {
      const bytes = values.bytesWith(change, limit);
      expect(bytes).toBeGreaterThanOrEqual(exact);
      expect(bytes <= limit).toBe(exact <= limit);
    }
    expect(values.bytesWith(change, 66)).toBe(66);
    expect(values.bytesWith(change, 65)).toBe(exact);
  });
});

describe('own keys only', () => {
  it.each([
    ['a function', () => 'polluted'],
    ['an object', { polluted: true }],
    ['a text', 'polluted'],
  ])('%s on Object.prototype is no part of any data', (_what, value) => {
    const pollution = Object.prototype as unknown as Record<string, unknown>;
    pollution.polluted = value;
    try {
      const values = holder({ n: 1, cart: { items: [1] } });
      expect([values.get('polluted'), values.get('cart.polluted'), values.remove('polluted')]).toEqual([
        undefined,
        undefined,
        false,
      ]);
      values.set('n', 2);
      values.set('cart.items[1]', 2);
      values.flashes.flash('a', 1);
      expect(values.flashes.flashed('b')).toBeUndefined();
      const draft = values.draft();
      expect(Object.keys(draft.data)).toEqual(['n', 'cart']);
      draft.data.tapped = 1;
      const change = draft.settle()!;
      expect(Object.keys(change.set).filter((key) => !key.startsWith('~'))).toEqual(['n', 'cart', 'tapped']);
      expect(change.remove).toEqual([]);
      values.saved(change);
      draft.accept();
      values.assign({ assigned: 1 }, 'data');
      expect(Object.keys(values.toJSON())).toEqual(['n', 'cart', 'tapped', 'assigned']);
      expect(values.keys()).toEqual(['n', 'cart', 'tapped', 'assigned']);
      expect(Object.keys(values.collect(true)!.set)).toEqual(['assigned']);
      expect(Number.isInteger(values.bytes())).toBe(true);
      expect(Number.isInteger(values.bytesWith({ set: { a: '1' }, remove: [] }, 0))).toBe(true);
    } finally {
      delete pollution.polluted;
    }
  });

  it('keys that every object has are keys like any (S48)', () => {
    const names = ['constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf', '__defineGetter__'];
    const values = holder({ prototype: 1, toString: 1, valueOf: 1 });
    values.assign(Object.fromEntries(names.map((name) => [name, 2])), 'data');
    expect(changes(values)).toEqual({ set: Object.fromEntries(names.map((name) => [name, 2])), remove: [] });
    save(values);
    const draft = values.draft();
    for (const name of names) draft.data[name] = 3;
    values.saved(draft.settle()!);
    draft.accept();
    expect(names.map((name) => values.get(name))).toEqual(names.map(() => 3));
    for (const name of names) expect(values.remove(name)).toBe(true);
    expect(values.keys()).toEqual([]);
    expect(save(values)?.remove.toSorted()).toEqual(names.toSorted());
    const again = values.draft();
    again.data.constructor = 4 as never;
    values.saved(again.settle()!);
    again.accept();
    expect(values.get('constructor')).toBe(4);
  });

  it('a stored "__proto__" is no data, and changes no prototype (S48)', () => {
    const stored = JSON.parse('{"__proto__":"{\\"polluted\\":1}","n":"1"}') as Record<string, string>;
    const values = new SessionValues(new ValueCodec({ codec: json }), stored);
    expect([values.get('__proto__'), values.keys(), values.remove('__proto__')]).toEqual([
      undefined,
      ['n'],
      false,
    ]);
    for (const data of [values.toJSON(), values.draft().data]) {
      expect(Object.getPrototypeOf(data)).toBe(Object.prototype);
      expect(data).toEqual({ n: 1 });
    }
    values.clear();
    expect(values.collect(false)).toEqual({ set: {}, remove: ['n'] });
  });
});

describe('keys and values that cannot be stored', () => {
  const half = '\ud83d';

  it.each<[how: string, write: (values: SessionValues) => void]>([
    ['set', (values) => values.set(half, 1)],
    ['set of a path', (values) => values.set(`${half}.a`, 1)],
    ['setKey', (values) => values.setKey(`a${half}b`, 1)],
    ['assign', (values) => values.assign({ [half]: 1 }, 'data')],
  ])('a key with half a character is refused by %s, and named as ASCII (S59)', (_how, write) => {
    const values = holder();
    expect(() => write(values)).toThrow(SessionError);
    expect(() => write(values)).toThrow(/\\ud83d[^\ud83d]*well-formed/);
    expect(values.collect(false)).toBeUndefined();
    expect([values.get(half), values.remove(half), values.get(`${half}.a`)]).toEqual([
      undefined,
      false,
      undefined,
    ]);
  });

  it('a key with whole characters of two halves is fine (S59)', () => {
    const values = holder();
    values.set('😀', 1);
    expect(changes(values)).toEqual({ set: { '😀': 1 }, remove: [] });
  });

  it.each(['~flash:1:x', '__proto__'])(
    '%s is no key: refused when written, and nothing when read',
    (name) => {
      const values = new SessionValues(
        new ValueCodec({ codec: json }),
        Object.fromEntries([[name, '[["a",1]]']]),
      );
      for (const write of [
        () => values.set(name, 1),
        () => values.set(name.replace(':', '\\:'), 1),
        () => values.setKey(name, 1),
        () => values.assign(Object.fromEntries([[name, 1]]), 'data'),
      ]) {
        expect(write).toThrow(SessionError);
      }
      expect([values.get(name), values.getKey(name), values.remove(name), values.keys()]).toEqual([
        undefined,
        undefined,
        false,
        [],
      ]);
      expect(() => values.set(`${name}.a`, 1)).toThrow(SessionError);
      expect(values.get(`${name}[0]`)).toBeUndefined();
      expect(values.toJSON()).toEqual({});
      values.clear();
      expect(values.collect(false)).toBeUndefined();
    },
  );

  it('a key that only looks a little like a flash is a key like any', () => {
    const values = holder();
    for (const key of ['~', '~flash', '~flesh:1', 'flash:', ' ~flash:']) values.set(key, 1);
    expect(values.keys()).toHaveLength(5);
  });

  const circle: Record<string, unknown> = {};
  circle.self = circle;

  it.each<[what: string, value: unknown]>([
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
  ])('%s is refused at once, by its name, and leaves everything as it was', (_what, value) => {
    const values = holder({ n: 1, cart: { items: [{ qty: 1 }] } });
    for (const path of ['n', 'fresh', 'cart.items[0].qty', 'fresh.a[0].b', 'cart']) {
      expect(() => values.set(path, value)).toThrow(SessionError);
      expect(() => values.set(path, value)).toThrow(JSON.stringify(path));
    }
    expect(() => values.setKey('n', value)).toThrow(/"n"/);
    expect(() => values.flashes.flash('notice', value)).toThrow(/"notice"/);
    expect(values.toJSON()).toEqual({ n: 1, cart: { items: [{ qty: 1 }] } });
    expect(values.collect(true)).toBeUndefined();
  });

  it.each<[what: string, value: unknown]>([
    ['a bigint', 1n],
    ['a circle', circle],
    ['a bigint inside', { a: [1n] }],
    ['what gives nothing', { toJSON: () => undefined }],
  ])('%s is refused when it is saved, by its name, and again until it is gone', (_what, value) => {
    const values = holder({ n: 1 });
    values.set('bad', value);
    expect(() => values.collect(false)).toThrow(SessionError);
    expect(() => values.collect(false)).toThrow(/"bad" cannot be encoded/);
    expect(values.mayDiffer).toBe(true);
    values.remove('bad');
    expect(values.collect(false)).toBeUndefined();
  });

  it('a value that cannot be encoded any more is an error that names the key, with the reason', () => {
    const values = holder({ cart: {} });
    (values.get('cart') as { n: unknown }).n = 1n;
    let error: unknown;
    try {
      values.collect(false);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(SessionError);
    expect((error as Error).message).toMatch(/"cart" cannot be encoded: .*BigInt/);
    expect((error as Error).cause).toBeInstanceOf(TypeError);
  });

  it.each<[got: string, data: unknown]>([
    ['a list', [1]],
    ['a promise', Promise.resolve({})],
    ['null', null],
    ['string', 'text'],
    ['function', () => ({})],
  ])('assign takes an object; it says that it got %s', (got, data) => {
    expect(() => holder().assign(data as object, 'create: data')).toThrow(
      `create: data must be an object of keys and values; got ${got}.`,
    );
  });

  it.each([
    [99, 99],
    [100, 100],
    [101, 100],
  ])('a key of %i characters is shown by %i of them', (length, shown) => {
    const key = 'k'.repeat(length);
    const text = `${'k'.repeat(shown)}${length > shown ? '…' : ''}`;
    expect(() => holder().set(key, () => 1)).toThrow(`the value of "${text}" is a function`);
  });

  it('assign leaves out what is undefined, and takes every key as it is written', () => {
    const values = holder({ a: { b: 1 }, nothing: 1 });
    values.assign({ 'a.b': 2, nothing: undefined, a: { b: 1 } }, 'data');
    expect(changes(values)).toEqual({ set: { 'a.b': 2 }, remove: [] });
    expect([values.getKey('a.b'), values.get('a\\.b'), values.get('a.b')]).toEqual([2, 2, 1]);
  });
});

describe('economy', () => {
  const counting = (stored: Record<string, string>) => {
    const calls: string[] = [];
    const codec = {
      encode: (value: unknown) => (calls.push(`encode ${JSON.stringify(value)}`), JSON.stringify(value)),
      decode: (text: string) => (calls.push(`decode ${text}`), JSON.parse(text) as unknown),
    };
    return { values: new SessionValues(new ValueCodec({ codec: codec }), stored), calls };
  };

  it('a holder that looks at nothing decodes and encodes nothing', () => {
    const { values, calls } = counting(texts({ n: 1, cart: {} }));
    values.keys();
    values.collect(true);
    values.rebase(texts({ n: 2 }));
    expect(calls).toEqual([]);
  });

  it('a value is decoded once, and encoded only if it may have changed', () => {
    const { values, calls } = counting(texts({ n: 1, cart: {}, other: 1 }));
    for (const path of ['n', 'n', 'cart', 'cart.items']) values.get(path);
    expect(calls).toEqual(['decode 1', 'decode {}']);
    values.collect(true);
    expect(calls.slice(2)).toEqual(['encode {}']);
  });

  it('a number that was set is encoded once, however often it is compared', () => {
    const { values, calls } = counting(texts({ n: 1 }));
    values.set('n', 2);
    values.saved(values.collect(true)!);
    values.collect(true);
    expect(calls.filter((call) => call.startsWith('encode'))).toEqual(['encode 2']);
  });
});
