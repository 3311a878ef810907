import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { MemoryStorage, SessionTooLargeError } from '../../src/index.js';
import type { SessionModuleOptions } from '../../src/index.js';
import { ValueCipher } from '../../src/session/value-cipher.js';
import { resolveOptions } from '../../src/nest/session.options.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';
import { liveSecretly, SECRETS } from '../support/secret-life.js';
import {
  type Bag,
  type Bench,
  everythingOf,
  failureOf,
  kinds,
  loaded,
  logs,
  open,
  secondNode,
  visitor,
} from '../support/session-bench.js';

const key = (): Buffer => randomBytes(32);

/** How often a storage was told to change data. */
const writes = ({ probe }: Bench) =>
  probe.of('update').filter(({ args: [, change] }) => change.set !== undefined || change.remove?.length)
    .length;

describe.each(kinds)('encryption: %s', (kind) => {
  const keys = [key()];
  const encryption = { keys };
  let bench: Bench;

  beforeEach(async () => {
    bench = await open(kind, { encryption });
  });

  const textsOf = (handle: string) => bench.probe.peek(handle)!.data;

  /** Writes texts into a record, past the library. */
  const put = (handle: string, set: Record<string, string>) => bench.storage.update(handle, { set });

  const corrupt = ({ events }: Bench = bench) =>
    events
      .filter(({ type }) => type === 'corrupt')
      .map(({ handle, userId, key: its }) => [handle, userId, its]);

  it('what rests is unreadable, and what is read is as it was', async () => {
    const memory = new MemoryStorage();
    const { read, expected, handle, stop } = await liveSecretly(memory);
    const all = JSON.stringify(memory.read(handle));
    expect(SECRETS.filter((word) => all.includes(word))).toEqual([]);
    expect(await read()).toEqual(expected);
    await stop();
  });

  it('lists show the data', async () => {
    await bench.store.create({ userId: 'ada', data: { n: 1 } });
    expect((await bench.store.listByUser('ada'))[0]!.data).toEqual({ n: 1 });
  });

  it('taps from outside and pages of all sessions read and write it', async () => {
    const { handle } = await bench.store.create({ userId: 'ada', data: { n: 1 } });
    expect(await bench.store.tapByUser('ada', (data) => void data['n']++)).toBe(1);
    expect(await bench.store.tapByHandle(handle, (data) => ++data['n'])).toBe(3);
    expect(textsOf(handle)['n']).toMatch(/^~1\./);
    expect((await bench.store.list()).sessions.map(({ data }) => data)).toEqual([{ n: 3 }]);
  });

  it('one value is never written alike twice', async () => {
    const { handle } = await bench.store.create({ data: { a: 'same', b: 'same' } });
    const again = await bench.store.create({ data: { a: 'same' } });
    const texts = [textsOf(handle)['a'], textsOf(handle)['b'], textsOf(again.handle)['a']];
    expect(new Set(texts).size).toBe(3);
  });

  it('what is only read, or set to what it was, is not written', async () => {
    const { id } = await bench.store.create({ data: { n: 1, cart: { items: [1] }, list: [1] } });
    const session = await loaded(bench, id);
    session.get('cart.items');
    session.get('list');
    session.set('n', 1);
    session.set('cart', { items: [1] });
    await session.save();
    await session.tap((data) => void (data['cart'] as Bag)['items']);
    expect(writes(bench)).toBe(0);
  });

  it('of what was changed in place that alone is written', async () => {
    const { id, handle } = await bench.store.create({ data: { cart: { items: [1] }, other: { n: 1 } } });
    const before = textsOf(handle);
    const session = await loaded(bench, id);
    session.get('other');
    (session.get('cart.items') as number[]).push(2);
    await session.save();
    expect(textsOf(handle)['other']).toBe(before['other']);
    expect(textsOf(handle)['cart']).not.toBe(before['cart']);
    expect((await loaded(bench, id)).toJSON()).toEqual({ cart: { items: [1, 2] }, other: { n: 1 } });
  });

  it('a tap between a read and a write keeps what each of them changed', async () => {
    const { id } = await bench.store.create({ data: { cart: { n: 1 }, read: { n: 1 }, own: 1 } });
    const session = await loaded(bench, id);
    const [cart, read] = [session.get('cart'), session.get('read')];
    session.set('own', 2);
    await bench.store.tap(id, (data) => (data['cart'] as Bag)['n']++);
    await session.tap((data) => (data['cart'] as Bag)['n']++);
    expect(session.toJSON()).toEqual({ cart: { n: 3 }, read: { n: 1 }, own: 2 });
    expect(session.get('read')).toBe(read);
    expect(session.get('cart')).not.toBe(cart);
    await session.save();
    expect((await loaded(bench, id)).toJSON()).toEqual({ cart: { n: 3 }, read: { n: 1 }, own: 2 });
  });

  it('a visitor’s session, initial data and flashes included', async () => {
    const own = await open(kind, { encryption, initial: () => ({ theme: 'light' }) });
    const session = await visitor(own);
    session.flash('notice', 'hi');
    await session.save();
    expect(Object.values(own.probe.peek(session.handle)!.data).every((text) => text.startsWith('~1.'))).toBe(
      true,
    );
    const next = await visitor(own, `sid=${session.id}`);
    expect([next.get('theme'), next.flashed('notice')]).toEqual(['light', 'hi']);
  });

  it.each(['', '"', 'ü 日本 😀 \u0000', 'x'.repeat(10_000)])('texts of any kind: %#', async (text) => {
    const { id } = await bench.store.create({ data: { text, '': text, 'a:b': text } });
    expect((await loaded(bench, id)).toJSON()).toEqual({ text, '': text, 'a:b': text });
  });

  describe('what cannot be decrypted', () => {
    it('a value that was moved to another key, session or user is absent, with an event (S68)', async () => {
      const ada = await bench.store.create({ userId: 'ada', data: { role: 'admin', name: 'Ada' } });
      const bob = await bench.store.create({ userId: 'bob', data: { role: 'guest', name: 'Bob' } });
      await put(bob.handle, { role: textsOf(ada.handle)['role']!, name: textsOf(bob.handle)['role']! });
      const seen = await loaded(bench, bob.id);
      expect([seen.get('role'), seen.get('name'), seen.has('role')]).toEqual([undefined, undefined, false]);
      expect(corrupt()).toEqual([
        [bob.handle, 'bob', 'role'],
        [bob.handle, 'bob', 'name'],
      ]);
      expect((await loaded(bench, ada.id)).toJSON()).toEqual({ role: 'admin', name: 'Ada' });
    });

    it.each<[what: string, make: (text: string) => string]>([
      ['in plain', () => '"admin"'],
      ['of another key', (text) => new ValueCipher({ keys: [key()] }).seal(text, 'x', 'data:role')],
      ['shortened', (text) => text.slice(0, -4)],
      ['empty', () => ''],
      ['of nothing but a head', (text) => text.slice(0, 12)],
      ['with little behind the head', (text) => text.slice(0, 20)],
      [
        'changed in the middle',
        (text) => text.slice(0, 40) + (text[40] === 'A' ? 'B' : 'A') + text.slice(41),
      ],
    ])('a text that is %s: absent, and never an error (S68)', async (_what, make) => {
      const { id, handle } = await bench.store.create({ data: { role: 'administrator', n: 1 } });
      const damaged = make(textsOf(handle)['role']!);
      await put(handle, { role: damaged });
      const session = await loaded(bench, id);
      expect(session.toJSON()).toEqual({ n: 1 });
      session.set('n', 2);
      await session.save();
      await session.tap((data) => (data['n'] as number)++);
      // Nobody wrote it, so it stays: a node that has the key can still read it.
      expect(textsOf(handle)['role']).toBe(damaged);
      session.set('role', 'guest');
      await session.save();
      expect((await loaded(bench, id)).toJSON()).toEqual({ n: 3, role: 'guest' });
      expect(corrupt()[0]).toEqual([handle, undefined, 'role']);
    });

    it('values swapped for older ones of the same place are what encryption cannot see', async () => {
      const { id, handle } = await bench.store.create({ data: { n: 1 } });
      const old = textsOf(handle)['n']!;
      await bench.store.tap(id, (data) => (data['n'] = 2));
      await put(handle, { n: old });
      expect((await loaded(bench, id)).get('n')).toBe(1);
    });
  });

  describe('another key', () => {
    it('in front: old values are read, what changes is written with it, nobody is logged out (S68)', async () => {
      const { id, handle } = await bench.store.create({ userId: 'ada', data: { n: 1, name: 'Ada' } });
      const before = textsOf(handle);
      const fresh = key();
      const rotated = await secondNode(kind, bench, { encryption: { keys: [fresh, ...keys] } });
      const session = await loaded(rotated, id);
      expect([session.userId, session.toJSON()]).toEqual(['ada', { n: 1, name: 'Ada' }]);
      session.set('n', 2);
      await session.save();
      expect(textsOf(handle)['name']).toBe(before['name']);
      const alone = await secondNode(kind, bench, { encryption: { keys: [fresh] } });
      const later = await loaded(alone, id);
      expect([later.userId, later.toJSON()]).toEqual(['ada', { n: 2 }]);
      // The nodes that do not have it yet read what they can.
      expect((await loaded(bench, id)).toJSON()).toEqual({ name: 'Ada' });
    });

    it('a text: all nodes make the same key of it', async () => {
      const options = { encryption: { keys: ['correct horse battery staple'] } };
      const one = await open(kind, options);
      const { id } = await one.store.create({ data: { n: 1 } });
      expect((await loaded(await secondNode(kind, one, options), id)).toJSON()).toEqual({ n: 1 });
    });

    it('a Uint8Array is a key like a Buffer', async () => {
      const { id } = await bench.store.create({ data: { n: 1 } });
      const other = await secondNode(kind, bench, { encryption: { keys: [new Uint8Array(keys[0]!)] } });
      expect((await loaded(other, id)).get('n')).toBe(1);
    });
  });

  describe('switched on and off', () => {
    afterEach(unfreezeTime);

    it('readPlain: what was stored before is read until that day, and encrypted as it changes', async () => {
      freezeTime();
      const old = await open(kind);
      const { id, handle } = await old.store.create({ data: { n: 1, name: 'Ada' } });
      const readPlain = new Date(Date.now() + 60_000);
      const on = await secondNode(kind, old, { ttl: '1h', encryption: { keys, readPlain } });
      const session = await loaded(on, id);
      expect(session.toJSON()).toEqual({ n: 1, name: 'Ada' });
      session.set('n', 2);
      await session.save();
      const { n, name } = old.probe.peek(handle)!.data;
      expect([n!.startsWith('~1.'), name]).toEqual([true, '"Ada"']);
      passTime(60_000);
      expect((await loaded(on, id)).toJSON()).toEqual({ n: 2 });
    });

    it('without it, and with encryption switched off again, data are absent and nobody is logged out', async () => {
      const old = await open(kind);
      const { id } = await old.store.create({ userId: 'ada', data: { n: 1 } });
      const on = await secondNode(kind, old, { encryption });
      const plain = await loaded(on, id);
      expect([plain.userId, plain.toJSON()]).toEqual(['ada', {}]);
      const sealed = await on.store.create({ userId: 'bob', data: { n: 1 } });
      const off = await loaded(old, sealed.id);
      expect([off.userId, off.toJSON()]).toEqual(['bob', {}]);
    });
  });

  describe('maxBytes', () => {
    const stored = (handle: string) =>
      Object.entries(textsOf(handle)).reduce((sum, [name, text]) => sum + name.length + text.length, 0);

    it('counts what is stored, to the byte', async () => {
      const { handle } = await bench.store.create({ data: { text: 'ü'.repeat(100), n: 1 } });
      const exact = stored(handle);
      const data = { text: 'ü'.repeat(100), n: 1 };
      const enough = await secondNode(kind, bench, { encryption, maxBytes: exact });
      const { id } = await enough.store.create({ data });
      const less = await secondNode(kind, bench, { encryption, maxBytes: exact - 1 });
      const error = await failureOf(() => less.store.create({ data }));
      expect(error).toBeInstanceOf(SessionTooLargeError);
      expect(error.message).toContain(`takes ${exact} bytes`);
      const found = await loaded(less, id);
      found.set('m', 1);
      expect(await failureOf(() => found.save())).toBeInstanceOf(SessionTooLargeError);
      found.remove('m');
      found.set('text', 'short');
      await found.save();
      expect((await loaded(bench, id)).get('text')).toBe('short');
    });

    it('counts what was stored before as it is', async () => {
      const old = await open(kind, { maxBytes: 1_000 });
      const { id } = await old.store.create({ data: { text: 'x'.repeat(900) } });
      const readPlain = new Date(Date.now() + 60_000);
      const on = await secondNode(kind, old, { maxBytes: 1_000, encryption: { keys, readPlain } });
      const session = await loaded(on, id);
      session.set('n', 1);
      await session.save();
      expect((await loaded(on, id)).get('n')).toBe(1);
    });
  });

  it('the codec of the application is what is encrypted', async () => {
    const codec = {
      encode: (value: unknown) => `mine:${JSON.stringify(value)}`,
      decode: (text: string) => JSON.parse(text.slice(5)) as unknown,
    };
    const own = await open(kind, { encryption, codec });
    const { id, handle } = await own.store.create({ data: { n: 1 } });
    expect(new ValueCipher({ keys }).open(own.probe.peek(handle)!.data['n']!, handle, 'data:n')).toBe(
      'mine:1',
    );
    expect((await loaded(own, id)).get('n')).toBe(1);
  });

  it('what is known of the client is encrypted like data, at a place of its own', async () => {
    const cipher = new ValueCipher({ keys });
    const record = { handle: 'h'.repeat(22), client: '{"ip":"10.0.0.1"}', data: { client: '1' } };
    const sealed = cipher.sealAll(record.handle, record);
    expect(JSON.stringify(sealed)).not.toContain('10.0.0.1');
    expect(cipher.open(sealed.client, record.handle, 'client')).toBe(record.client);
    expect(cipher.open(sealed.client, record.handle, 'data:client')).toBeUndefined();
    expect(cipher.open(sealed.data.client, record.handle, 'client')).toBeUndefined();
    expect(cipher.sealAll(record.handle, { client: null })).toEqual({ client: null });
  });
});

describe('the keys', () => {
  const PASS = 'a pass phrase that nobody may see';

  it.each<[wrong: string, keys: unknown, got: string]>([
    ['too short', [randomBytes(16)], '16 bytes for key 1 of 1'],
    ['too long', [key(), randomBytes(64)], '64 bytes for key 2 of 2'],
    ['none', [], 'an empty list'],
    ['not given', undefined, 'none'],
    ['empty text', [PASS, ''], 'an empty string for key 2 of 2'],
    ['no list', PASS, 'a string'],
    ['a number', [7], 'a number for key 1 of 1'],
    ['the same text twice', [PASS, 'other', PASS], 'the same key twice, as key 3 of 3'],
    [
      'the same bytes twice',
      [Buffer.alloc(32, 7), new Uint8Array(32).fill(7)],
      'the same key twice, as key 2 of 2',
    ],
  ])('%s: stops the boot, says what is wrong, and shows no key', async (_wrong, given, got) => {
    const options = { encryption: { keys: given } } as SessionModuleOptions;
    const error = await failureOf(() => resolveOptions(options));
    expect(error.message).toMatch(/^SessionModule: encryption\.keys must be a list of different keys/);
    expect(error.message.endsWith(`; got ${got}`)).toBe(true);
    expect(everythingOf(error)).not.toContain(PASS);
  });

  it('show in nothing that could be printed (S50)', async () => {
    const bytes = Buffer.from('0123456789abcdef0123456789abcdef');
    const settings = resolveOptions({ encryption: { keys: [bytes, PASS] } });
    const all = everythingOf(settings.encryption) + everythingOf(settings);
    for (const form of [PASS, String(bytes), bytes.toString('hex'), bytes.toString('base64')])
      expect(all).not.toContain(form);
    expect(logs.join('\n')).not.toContain(PASS);
  });
});
