import { describe, expect, it } from '@jest/globals';
import * as v from 'valibot';
import { z } from 'zod';
import { SessionError } from '../../src/index.js';
import type { SessionModuleOptions, SessionSchema, StandardSchema } from '../../src/index.js';
import { resolveOptions } from '../../src/nest/session.options.js';
import {
  type Bag,
  type Bench,
  failureOf,
  kinds,
  loaded,
  logs,
  open,
  secondNode,
  stored,
  visitor,
} from '../support/session-bench.js';

/** A schema made by hand: a list of items with a number, none by default, and always the same list of none. */
const NONE: unknown[] = [];
const byHand: StandardSchema<{ qty: number }[]> = {
  '~standard': {
    version: 1,
    vendor: 'by hand',
    validate(value) {
      if (value === undefined) return { value: NONE as [] };
      if (!Array.isArray(value)) return { issues: [{ message: `${String(value)} is no list` }] };
      const wrong = value.findIndex((item: Bag) => typeof item?.['qty'] !== 'number');
      if (wrong < 0) return { value };
      return { issues: [{ message: `${value[wrong]}`, path: [{ key: wrong }, 'qty'] }] };
    },
  },
};

const schemas: readonly (readonly [name: string, cart: StandardSchema])[] = [
  ['zod', z.array(z.object({ qty: z.number() })).default([])],
  ['valibot', v.optional(v.array(v.object({ qty: v.number() })), [])],
  ['made by hand', byHand],
];

const writes = ({ probe }: Bench) => probe.of('update').filter(({ args: [, change] }) => change.set).length;
const corrupt = ({ events }: Bench) => events.filter(({ type }) => type === 'corrupt');
const SECRET = 'Fetter Lane 13';

describe.each(kinds)('a schema: %s', (kind) => {
  /** An application without schemas that wrote this, and one with schemas that finds it. */
  async function found(data: Bag, schema: SessionSchema, options: SessionModuleOptions = {}) {
    const old = await open(kind);
    const { id } = await old.store.create({ userId: 'ada', data });
    const bench = await secondNode(kind, old, { schema, ...options });
    return { old, bench, id, session: await loaded(bench, id) };
  }

  describe.each(schemas)('%s', (_name, cart) => {
    const schema = { cart };

    it('a default shows wherever data is shown, and nothing is stored for it', async () => {
      const { bench, id, session } = await found({ other: 1 }, schema);
      expect([session.get('cart'), session.has('cart'), session.data['cart']]).toEqual([[], true, []]);
      expect(['cart' in session.data, Object.keys(session.data), session.keys()]).toEqual([
        true,
        ['other', 'cart'],
        ['other', 'cart'],
      ]);
      expect(session.toJSON()).toEqual({ other: 1, cart: [] });
      expect((await bench.store.listByUser('ada'))[0]!.data).toEqual({ other: 1, cart: [] });
      expect(await session.tap((data) => data['cart'])).toEqual([]);
      await session.save();
      expect([writes(bench), stored(bench, session)]).toEqual([0, { other: 1 }]);
      expect(await bench.store.tap(id, (data) => Object.keys(data))).toEqual(['other', 'cart']);
      expect(stored(bench, session)).toEqual({ other: 1 });
    });

    it('a default that is changed in place is stored, and no other session sees it', async () => {
      const { bench, id, session } = await found({}, schema);
      (session.get('cart') as Bag[]).push({ qty: 1 });
      await session.save();
      expect((await loaded(bench, id)).toJSON()).toEqual({ cart: [{ qty: 1 }] });
      await bench.store.tap(id, (data) => (data['cart'] as Bag[]).push({ qty: 2 }));
      expect((await loaded(bench, id)).get('cart[1].qty')).toBe(2);
      expect((await bench.store.create()).get('cart')).toEqual([]);
      expect((await visitor(bench)).data['cart']).toEqual([]);
    });

    it('a visitor of whom only defaults are read leaves nothing behind (S52)', async () => {
      const bench = await open(kind, { schema });
      const session = await visitor(bench);
      void [session.get('cart'), session.data['cart'], session.toJSON()];
      await session.save();
      expect(await bench.store.count()).toBe(0);
    });

    it('a path through a default, removing and taking it', async () => {
      const { bench, id, session } = await found({}, schema);
      expect(session.remove('cart')).toBe(false);
      session.set('cart[0].qty', 3);
      expect(session.get('cart')).toEqual([{ qty: 3 }]);
      await session.save();
      const again = await loaded(bench, id);
      expect([again.take('cart'), again.get('cart'), again.remove('cart')]).toEqual([
        [{ qty: 3 }],
        [],
        false,
      ]);
      await again.save();
      expect(stored(bench, again)).toEqual({});
    });

    it('what is set to the default is stored, as the default may be another one day', async () => {
      const { bench, session } = await found({}, schema);
      session.set('cart', []);
      await session.save();
      expect(stored(bench, session)).toEqual({ cart: [] });
    });

    it('what is stored and does not fit is absent, with an event that says where (S69)', async () => {
      const data = { cart: [{ qty: 1 }, { qty: SECRET }], n: 1 };
      const { bench, id, session } = await found(data, schema);
      expect([session.get('cart'), session.has('cart'), session.userId]).toEqual([undefined, false, 'ada']);
      expect(corrupt(bench)).toEqual([
        {
          type: 'corrupt',
          handle: session.handle,
          userId: 'ada',
          key: 'cart',
          issues: ['cart[1].qty'],
          at: expect.any(Date),
        },
      ]);
      expect(session.toJSON()).toEqual({ n: 1 });
      expect((await bench.store.listByUser('ada'))[0]!.data).toEqual({ n: 1 });
      session.set('n', 2);
      await session.save();
      await bench.store.tap(id, (tapped) => void (tapped['n'] as number)++);
      // It stays, for the version of the application that wrote it.
      expect(stored(bench, session)).toEqual({ ...data, n: 3 });
      expect(JSON.stringify(bench.events) + logs.join('\n')).not.toContain(SECRET);
      session.set('cart', [{ qty: 2 }]);
      await session.save();
      expect((await loaded(bench, id)).get('cart')).toEqual([{ qty: 2 }]);
    });

    it.each(['set', 'path', 'data', 'create', 'tap', 'in place'])(
      'what does not fit is not written: %s',
      async (way) => {
        const { bench, id, session } = await found({ cart: [{ qty: 1 }] }, schema);
        const wrong = [{ qty: 1 }, { qty: SECRET }];
        const ways: Record<string, () => unknown> = {
          set: () => session.set('cart', wrong),
          path: () => session.set('cart[1].qty', SECRET),
          data: () => (session.data['cart'] = wrong),
          create: () => bench.store.create({ data: { cart: wrong } }),
          tap: () => session.tap((data) => void (data['cart'] as Bag[]).push({ qty: SECRET })),
          'in place': () => {
            (session.get('cart') as Bag[]).push({ qty: SECRET });
            return session.save();
          },
        };
        const error = await failureOf(() => ways[way]!());
        expect(error).toBeInstanceOf(SessionError);
        expect(error.message).toBe('Session: the value of "cart" does not fit its schema, at "cart[1].qty".');
        expect(JSON.stringify(error) + error.stack).not.toContain(SECRET);
        if (way !== 'in place') expect(session.get('cart')).toEqual([{ qty: 1 }]);
        expect([(await loaded(bench, id)).get('cart'), await bench.store.count()]).toEqual([[{ qty: 1 }], 1]);
      },
    );

    it('what is only read is not written, and an object that was set stays the one that is saved', async () => {
      const { bench, id, session } = await found({ cart: [{ qty: 1 }] }, schema);
      expect(session.get('cart')).toEqual([{ qty: 1 }]);
      await session.save();
      expect(writes(bench)).toBe(0);
      const own = [{ qty: 5 }];
      session.set('cart', own);
      own.push({ qty: 6 });
      await session.save();
      expect((await loaded(bench, id)).get('cart')).toEqual([{ qty: 5 }, { qty: 6 }]);
    });

    it('a flash of the name is none of its business', async () => {
      const { bench, id, session } = await found({}, schema);
      session.flash('cart', 'emptied');
      await session.save();
      expect((await loaded(bench, id)).flashed('cart')).toBe('emptied');
    });
  });

  describe('versions of an application', () => {
    const profile = z.object({ name: z.string(), theme: z.string().default('light') });

    it('a new field has its default in what was stored before, and reading writes nothing', async () => {
      const { bench, id, session } = await found({ profile: { name: 'Ada' } }, { profile });
      expect(session.get('profile')).toEqual({ name: 'Ada', theme: 'light' });
      await session.save();
      await session.tap((data) => data['profile']);
      expect(writes(bench)).toBe(0);
      session.set('profile.name', 'Grace');
      await session.save();
      expect(stored(bench, session)).toEqual({ profile: { name: 'Grace', theme: 'light' } });
      expect((await loaded(bench, id)).get('profile.theme')).toBe('light');
    });

    it('defaults inside a value are no other session’s either', async () => {
      const shared = { tags: [] as string[] };
      const settings = z.object({ on: z.boolean(), more: z.any().default(shared) });
      const { bench, session } = await found({ settings: { on: true } }, { settings });
      (session.get('settings.more.tags') as string[]).push('mine');
      await session.save();
      const other = await bench.store.create({ data: { settings: { on: true } } });
      (other.get('settings.more.tags') as string[]).push('theirs');
      expect(session.get('settings.more.tags')).toEqual(['mine']);
      expect(shared.tags).toEqual([]);
    });

    it('keys that no schema knows pass, and those of a newer version survive an older one', async () => {
      const { old, bench, id, session } = await found({ n: 1, newer: { deep: [1] } }, { n: z.number() });
      expect(session.get('newer.deep')).toEqual([1]);
      session.set('n', 2);
      session.set('anything', 'goes');
      await session.save();
      await bench.store.tap(id, (data) => void (data['n'] as number)++);
      expect((await loaded(old, id)).toJSON()).toEqual({ n: 3, newer: { deep: [1] }, anything: 'goes' });
    });

    it('fields that the schema drops are gone when the value is changed, and not when it is read', async () => {
      const before = { profile: { name: 'Ada', theme: 'dark', newer: 1 } };
      const { bench, session } = await found(before, { profile });
      expect(session.get('profile')).toEqual({ name: 'Ada', theme: 'dark' });
      await session.save();
      expect(stored(bench, session)).toEqual(before);
      session.set('profile.theme', 'light');
      await session.save();
      expect(stored(bench, session)).toEqual({ profile: { name: 'Ada', theme: 'light' } });
    });

    it('a value of before is made one of now', async () => {
      const name = z.union([z.object({ first: z.string() }), z.string().transform((first) => ({ first }))]);
      const { bench, session } = await found({ name: 'Ada' }, { name });
      expect(session.get('name')).toEqual({ first: 'Ada' });
      await session.save();
      expect(writes(bench)).toBe(0);
      (session.get('name') as Bag)['first'] = 'Grace';
      await session.save();
      expect(stored(bench, session)).toEqual({ name: { first: 'Grace' } });
    });

    it('catch: what does not fit is what the schema says', async () => {
      const { bench, session } = await found(
        { theme: 7 },
        { theme: z.enum(['light', 'dark']).catch('light') },
      );
      expect([session.get('theme'), corrupt(bench)]).toEqual(['light', []]);
    });
  });

  it('what the schema makes of a value is what is read and stored', async () => {
    const schema = { at: z.coerce.date(), name: z.string().trim() };
    const { bench, id, session } = await found({ at: '2026-01-01T00:00:00.000Z' }, schema);
    expect(session.get('at')).toEqual(new Date('2026-01-01'));
    await session.save();
    expect(writes(bench)).toBe(0);
    session.set('name', '  Ada ');
    session.set('at', new Date(0));
    expect(session.get('name')).toBe('Ada');
    await session.save();
    const again = await loaded(bench, id);
    expect(again.toJSON()).toEqual({ at: new Date(0), name: 'Ada' });
    (again.get('at') as unknown as Date).setFullYear(2000);
    await again.save();
    expect((await loaded(bench, id)).get('at')).toEqual(new Date(946684800000));
  });

  it('a default that is another each time is one for a holder, and is not stored', async () => {
    let count = 0;
    const { bench, session } = await found({}, { n: z.number().default(() => ++count) });
    const n = session.get('n');
    expect([session.get('n'), session.data['n'], session.toJSON()['n']]).toEqual([n, n, n]);
    expect([await session.tap((data) => data['n']), session.get('n')]).toEqual([n, n]);
    await session.save();
    expect(writes(bench)).toBe(0);
  });

  it('what initial gives is what a new session starts with, checked; defaults are for the rest', async () => {
    const schema = { theme: z.string().default('light'), size: z.number().default(1) };
    const bench = await open(kind, { schema, initial: () => ({ theme: 'dark' }) });
    expect((await visitor(bench)).toJSON()).toEqual({ theme: 'dark', size: 1 });
    expect((await bench.store.create({ data: { size: 2 } })).toJSON()).toEqual({ theme: 'dark', size: 2 });
    const wrong = await open(kind, { schema, initial: () => ({ theme: 7 }) });
    expect((await failureOf(() => wrong.store.create())).message).toContain(
      '"theme" does not fit its schema',
    );
  });

  it.each<[name: string, schema: StandardSchema]>([
    ['zod', z.object({ sku: z.string(), more: z.object({ qty: z.number(), note: z.string() }) })],
    ['valibot', v.object({ sku: v.string(), more: v.object({ qty: v.number(), note: v.string() }) })],
  ])(
    'an object that was set stays the one that is saved, whatever order its keys are in: %s',
    async (_, item) => {
      const { bench, id, session } = await found({}, { item });
      const own = { more: { note: '', qty: 1 }, sku: 'tea' };
      session.set('item', own);
      own.more.qty = 2;
      await session.save();
      expect((await loaded(bench, id)).get('item.more.qty')).toBe(2);
    },
  );

  it('what would not be readable again is not written: the error says so at once', async () => {
    const schema = { at: z.date(), length: z.string().transform((text) => text.length), n: z.number() };
    const { bench, session } = await found({ n: 1 }, schema);
    for (const [key, value] of [
      ['at', new Date()],
      ['length', 'four'],
    ] as const) {
      const errors = [
        await failureOf(() => session.set(key, value)),
        await failureOf(() => bench.store.create({ data: { [key]: value } })),
        await failureOf(() => session.tap((data) => void (data[key] = value))),
      ];
      for (const { message } of errors) {
        expect(message).toContain(`"${key}" would not fit its schema when it is read again, at "${key}"`);
        expect(message).toContain('z.coerce.date()');
      }
    }
    session.set('n', 2);
    await session.save();
    expect(stored(bench, session)).toEqual({ n: 2 });
  });

  it('what the schema makes of a value, and no codec takes, is an error that names the key', async () => {
    const { session } = await found({}, { big: z.object({ n: z.coerce.bigint() }) });
    const error = await failureOf(() => session.set('big', { n: '1' }));
    expect(error).toBeInstanceOf(SessionError);
    expect(error.message).toMatch(/^Session: the value of "big" cannot be encoded: /);
    expect(session.has('big')).toBe(false);
  });

  it('what the schema makes nothing of is not stored, however it is written', async () => {
    const nick = z
      .string()
      .nullish()
      .transform((text) => text ?? undefined);
    const { bench, id, session } = await found({ nick: 'a', n: 1 }, { nick });
    await session.tap((data) => void (data['nick'] = null));
    expect([session.get('nick'), stored(bench, session)]).toEqual([undefined, { n: 1 }]);
    session.set('nick', 'b');
    await session.save();
    session.set('nick', null);
    await session.save();
    expect(stored(bench, await loaded(bench, id))).toEqual({ n: 1 });
  });

  it('a value that can be read and not written is in nobody’s way who leaves it alone', async () => {
    const { bench, session } = await found({ big: '7' }, { big: z.coerce.bigint() });
    expect(session.get('big')).toBe(7n);
    await session.save();
    await session.tap((data) => void (data['n'] = 1));
    expect(stored(bench, session)).toEqual({ big: '7', n: 1 });
  });

  it('with encryption', async () => {
    const bench = await open(kind, { schema: { cart: schemas[0]![1] }, encryption: { keys: ['a key'] } });
    const { id } = await bench.store.create({ data: { cart: [{ qty: 1 }] } });
    const session = await loaded(bench, id);
    expect(session.get('cart')).toEqual([{ qty: 1 }]);
    await session.save();
    expect(writes(bench)).toBe(0);
    (session.get('cart') as Bag[]).push({ qty: 2 });
    await session.save();
    expect((await loaded(bench, id)).get('cart[1].qty')).toBe(2);
  });

  it.each<[what: string, validate: (value: unknown) => any]>([
    ['throws', (value) => (value === undefined ? { issues: [{}] } : fail(SECRET))],
    [
      'answers later',
      (value) => (value === undefined ? { issues: [{}] } : Promise.reject(new Error(SECRET))),
    ],
  ])('one that %s: an error on write, absent on read', async (_what, validate) => {
    const schema: SessionSchema = { n: { '~standard': { version: 1, vendor: 'x', validate } } };
    const { bench, session } = await found({ n: 1 }, schema);
    expect(session.get('n')).toBeUndefined();
    expect(corrupt(bench)).toMatchObject([{ key: 'n', issues: ['n'] }]);
    const error = await failureOf(() => session.set('n', 2));
    expect(error.message).toBe('Session: the value of "n" does not fit its schema, at "n".');
    expect(String(error.cause) + error.stack).not.toContain(SECRET);
  });

  it('paths are as session.get takes them', async () => {
    const schema = { 'a.b': z.record(z.string(), z.array(z.number())) };
    const { bench, session } = await found({ 'a.b': { 'c.d': [1, 'x'] } }, schema);
    session.get('a\\.b');
    expect(corrupt(bench)[0]!.issues).toEqual([String.raw`a\.b.c\.d[1]`]);
  });
});

function fail(text: string): never {
  throw new Error(text);
}

describe('the option schema', () => {
  const later = { '~standard': { version: 1, vendor: 'x', validate: () => Promise.reject(new Error('x')) } };

  it.each<[wrong: string, schema: unknown, message: RegExp]>([
    ['a function', () => ({}), /^SessionModule: schema must be an object with a Standard Schema/],
    ['a text', 'cart', /schema must be an object.*got a string/],
    ['one schema for all', z.object({ n: z.number() }), /schema must be .*; got one schema for all$/],
    [
      'a type',
      { cart: Array },
      /^SessionModule: schema\.cart must be a Standard Schema \(v1\).*; got a function$/,
    ],
    ['another version', { n: { '~standard': { version: 2, validate: () => ({}) } } }, /schema\.n must be/],
    ['nothing', { n: undefined, m: z.number() }, /schema\.n must be .*; got undefined/],
    ['one that answers later', { n: later }, /schema\.n must answer at once/],
    ['zod, asynchronous', { n: z.any().refine(async () => true) }, /schema\.n must answer at once/],
    [
      'valibot, asynchronous',
      {
        n: v.pipeAsync(
          v.any(),
          v.checkAsync(async () => true),
        ),
      },
      /schema\.n must answer at once/,
    ],
    [
      'a default that JSON changes',
      { at: z.date().default(new Date()) },
      /schema\.at must accept its own default/,
    ],
    ['a key of flashes', { '~flash:1': z.any() }, /schema\.~flash:1 cannot be a key/],
  ])('%s stops the boot, and names it', async (_wrong, schema, message) => {
    const options = { schema } as SessionModuleOptions;
    expect((await failureOf(() => resolveOptions(options))).message).toMatch(message);
  });

  it('takes schemas that need a value, and one that throws for none', () => {
    const throws: SessionSchema = {
      n: { '~standard': { version: 1, vendor: 'x', validate: (value: any) => ({ value: value.length }) } },
      m: z.number(),
    };
    expect(() => resolveOptions({ schema: throws })).not.toThrow();
    expect(() => resolveOptions({ schema: {} })).not.toThrow();
  });
});
