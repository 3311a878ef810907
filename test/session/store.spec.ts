import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { MemoryStorage, SessionError, SessionExistsError } from '../../src/index.js';
import type { SessionRecord } from '../../src/index.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';
import {
  type AnySession,
  type Bench,
  everythingOf,
  failureOf,
  kinds,
  loaded,
  open,
  secondNode,
  secretOf,
  storageOf,
  stored,
} from '../support/session-bench.js';

const HOUR = 3_600_000;
const inMs = (milliseconds: number) => new Date(Date.now() + milliseconds);
const OWN = 'device~of.ada_0123456789-abc';

beforeEach(freezeTime);
afterEach(unfreezeTime);

describe.each(kinds)('SessionStore.create: %s', (kind) => {
  let bench: Bench;

  beforeEach(async () => {
    bench = await open(kind);
  });

  it('stores at once what it is given', async () => {
    const session = await bench.store.create({
      data: { a: 1, b: { c: [null] } },
      userId: 'ada',
      ttl: '2h',
    });
    expect(await bench.store.count()).toBe(1);
    expect(stored(bench, session)).toEqual({ a: 1, b: { c: [null] } });
    for (const each of [session, await loaded(bench, session.id)]) {
      expect(each.toJSON()).toEqual({ a: 1, b: { c: [null] } });
      expect(each.userId).toBe('ada');
      expect(each.authenticatedAt).toEqual(new Date());
      expect(each.createdAt).toEqual(new Date());
      expect(each.expiresAt).toEqual(inMs(2 * HOUR));
    }
  });

  it('without arguments it is a session of nobody, stored all the same', async () => {
    const session = await bench.store.create();
    expect(await bench.store.isEmpty()).toBe(false);
    expect((await loaded(bench, session.id)).toJSON()).toEqual({});
    expect(session.authenticatedAt).toBeUndefined();
  });

  it('a key that is undefined is not stored', async () => {
    const session = await bench.store.create({ data: { a: undefined, b: 1 } });
    expect(session.keys()).toEqual(['b']);
    expect(stored(bench, session)).toEqual({ b: 1 });
  });

  it('keys of data are keys, not paths', async () => {
    const { id } = await bench.store.create({ data: { 'a.b[0]': 1 } });
    expect((await loaded(bench, id)).toJSON()).toEqual({ 'a.b[0]': 1 });
  });

  it.each([
    ['of 22 characters', 'a'.repeat(22)],
    ['of 256 characters', 'z'.repeat(256)],
    ['of every kind of character', 'ABCXYZabcxyz0123456789._~-'],
  ])('takes an id of its own %s', async (_title, id) => {
    const session = await bench.store.create({ id, data: { n: 1 } });
    expect(session.id).toBe(id);
    const again = await loaded(bench, id);
    expect([again.id, again.handle, again.get('n')]).toEqual([id, session.handle, 1]);
  });

  it.each<[title: string, id: unknown]>([
    ['of 21 characters', 'a'.repeat(21)],
    ['of 257 characters', 'z'.repeat(257)],
    ['of 263 characters that looks like an issued one', `${'x'.repeat(21)}A.${'y'.repeat(240)}`],
    ['that is empty', ''],
    ['with a space', `${'a'.repeat(22)} b`],
    ['with a semicolon', `${'a'.repeat(22)};b`],
    ['with a comma', `${'a'.repeat(22)},b`],
    ['with a slash', `../${'a'.repeat(22)}`],
    ['with a plus', `${'a'.repeat(22)}+b`],
    ['with an equals sign', `${'a'.repeat(22)}=`],
    ['with a percent sign', `${'a'.repeat(22)}%41`],
    ['with an umlaut', `${'a'.repeat(22)}ü`],
    ['with a line end', `${'a'.repeat(22)}\n`],
    ['with a NUL', `${'a'.repeat(22)}\u0000`],
    ['that is a number', 1e21],
    ['that is null', null],
    ['that is a list', ['a'.repeat(22)]],
    ['that is an object', { toString: () => 'a'.repeat(22) }],
  ])(
    'refuses an id %s with a clear error that does not repeat it, and stores nothing (S50)',
    async (_t, id) => {
      const error = await failureOf(() => bench.store.create({ id: id as never }));
      expect(error).toBeInstanceOf(SessionError);
      expect(error.message).toMatch(/22/);
      expect(error.message).toMatch(/256/);
      if (typeof id === 'string' && id.length > 20) expect(everythingOf(error)).not.toContain(id);
      expect(await bench.store.count()).toBe(0);
    },
  );

  it("an own id's handle is neither part of it nor its proof, and always the same", async () => {
    const { handle } = await bench.store.create({ id: OWN });
    const { proof } = bench.probe.peek(handle)!;
    expect(handle).toMatch(/^[\w-]{22}$/);
    expect(OWN).not.toContain(handle);
    expect(proof).not.toContain(handle);
    expect(handle).not.toContain(proof.slice(0, 8));
    expect(JSON.stringify(bench.probe.peek(handle))).not.toContain(OWN);
    await bench.store.destroy(OWN);
    expect((await bench.store.create({ id: OWN })).handle).toBe(handle);
    expect((await bench.store.create({ id: `${OWN}x` })).handle).not.toBe(handle);
  });

  it.each([
    ['its handle', (handle: string) => handle],
    ['its handle and a secret', (handle: string) => `${handle}.${'s'.repeat(43)}`],
    ['its handle and its proof', (handle: string, proof: string) => `${handle}.${proof}`],
    ['its proof', (_: string, proof: string) => proof],
    ['its id in other letters', () => OWN.toUpperCase()],
  ])('an own id is the only way in: %s is none (S8)', async (_title, forge) => {
    const { handle } = await bench.store.create({ id: OWN });
    const forged = forge(handle, bench.probe.peek(handle)!.proof);
    expect(await bench.store.load(forged)).toBeUndefined();
    expect(await bench.store.destroy(forged)).toBe(false);
    expect(await bench.store.load(OWN)).toBeDefined();
  });

  it('a taken id is an error, and what is there stays as it was (S7)', async () => {
    const { handle } = await bench.store.create({ id: OWN, data: { n: 1 }, userId: 'ada' });
    const before = bench.probe.peek(handle);
    const error = await failureOf(() => bench.store.create({ id: OWN, data: { n: 2 }, userId: 'grace' }));
    expect(error).toBeInstanceOf(SessionExistsError);
    expect(error.message).toContain(handle);
    expect(everythingOf(error)).not.toContain(OWN);
    expect(bench.probe.peek(handle)).toEqual(before);
    expect(await bench.store.count()).toBe(1);
  });

  it('of two that ask for one id at once, one gets it (S7)', async () => {
    const node = await secondNode(kind, bench);
    const outcomes = await Promise.allSettled([
      bench.store.create({ id: OWN, data: { n: 1 } }),
      node.store.create({ id: OWN, data: { n: 2 } }),
    ]);
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    const winner = outcomes.find(({ status }) => status === 'fulfilled') as PromiseFulfilledResult<any>;
    expect((await loaded(bench, OWN)).get('n')).toBe(winner.value.get('n'));
  });

  it('the id of a session that has expired can be used again, purged or not', async () => {
    const { handle } = await bench.store.create({ id: OWN, data: { n: 1 }, userId: 'ada', ttl: '1m' });
    passTime(60_000 - 1);
    await expect(bench.store.create({ id: OWN })).rejects.toThrow(SessionExistsError);
    passTime(1);
    const session = await bench.store.create({ id: OWN, data: { m: 2 } });
    expect(session.handle).toBe(handle);
    expect((await loaded(bench, OWN)).toJSON()).toEqual({ m: 2 });
    expect((await loaded(bench, OWN)).userId).toBeUndefined();
    expect(await bench.store.listByUser('ada')).toEqual([]);
    expect(await bench.store.count()).toBe(1);
  });

  it.each<[option: string, wrong: object]>([
    ['ttl', { ttl: 'never' }],
    ['ttl', { ttl: 0 }],
    ['ttl', { ttl: -1 }],
    ['ttl', { ttl: NaN }],
    ['ttl', { ttl: '' }],
    ['user', { userId: '' }],
    ['user', { userId: 7 }],
    ['user', { userId: null }],
    ['usrId', { usrId: 'ada' }],
    ['date', { date: {} }],
    ['data', { data: 'text' }],
    ['data', { data: [1] }],
  ])('a wrong or unknown %s is a clear error, and nothing is stored: %j', async (option, wrong) => {
    const error = await failureOf(() => bench.store.create(wrong));
    expect(error).toBeInstanceOf(SessionError);
    expect(error.message).toMatch(new RegExp(`\\b${option}\\b`, 'i'));
    expect(await bench.store.count()).toBe(0);
  });

  it.each([[1], [Infinity]])(
    'a handle that is taken %d times overwrites nothing, and create comes to an end (S7)',
    async (times) => {
      const asked: SessionRecord[] = [];
      class Crowded extends MemoryStorage {
        override create(record: SessionRecord): boolean {
          asked.push(record);
          return asked.length > times && super.create(record);
        }
      }
      const crowded = await open(kind, {}, storageOf(kind, new Crowded()));
      const outcome = await crowded.store.create({ data: { n: 1 } }).catch((error: Error) => error);
      expect(new Set(asked.map(({ handle }) => handle)).size).toBe(asked.length);
      if (times === 1) {
        expect((await loaded(crowded, (outcome as AnySession).id)).get('n')).toBe(1);
      } else {
        expect(outcome).toBeInstanceOf(Error);
        expect((outcome as Error).message).toMatch(/handle|exists|taken|id/);
        expect(asked.length).toBeLessThan(20);
        expect(await crowded.store.count()).toBe(0);
      }
    },
  );

  it('a generateId that repeats itself makes no two sessions one (S7)', async () => {
    const own = await open(kind, { generateId: () => 'always.the~same_secret-0' });
    const [one, two] = [
      await own.store.create({ data: { n: 1 } }),
      await own.store.create({ data: { n: 2 } }),
    ];
    expect(one.id).not.toBe(two.id);
    expect(await own.store.count()).toBe(2);
    expect([(await loaded(own, one.id)).get('n'), (await loaded(own, two.id)).get('n')]).toEqual([1, 2]);
  });
});

describe.each(kinds)('ids: %s', (kind) => {
  it('ten thousand are all different, of 16 and 32 bytes, in base64url (S1)', async () => {
    const { store } = await open(kind);
    const sessions = await Promise.all(Array.from({ length: 10_000 }, () => store.create()));
    const ids = sessions.map(({ id }) => id);
    expect(new Set(ids).size).toBe(10_000);
    expect(new Set(ids.map((id) => id.slice(0, 22))).size).toBe(10_000);
    expect(new Set(ids.map(secretOf)).size).toBe(10_000);
    expect(ids.every((id) => /^[\w-]{22}\.[\w-]{43}$/.test(id))).toBe(true);
    // Each place of a secret takes each letter there is: no place is fixed, or a counter. The last has 4 bits.
    const letters = Array.from({ length: 43 }, () => new Set<string>());
    for (const id of ids) [...secretOf(id)].forEach((letter, place) => letters[place]!.add(letter));
    expect(letters.slice(0, 42).every(({ size }) => size === 64)).toBe(true);
    expect(letters[42]!.size).toBe(16);
  });

  it('an id means nothing: neither user, data nor time is in it (S2)', async () => {
    const { store } = await open(kind);
    const [one, two] = await Promise.all([1, 2].map(() => store.create({ userId: 'ada-lovelace' })));
    for (const { id } of [one!, two!]) {
      const decoded = id.split('.').map((part) => Buffer.from(part, 'base64url').toString('latin1'));
      expect([id, ...decoded].join()).not.toContain('ada');
      expect(decoded.join()).not.toContain(String(Date.now()));
    }
    expect(one!.id.slice(0, 4)).not.toBe(two!.id.slice(0, 4));
  });

  it('what is stored does not contain the secret, and presenting the proof is not knowing it (S8)', async () => {
    const bench = await open(kind);
    const { id, handle } = await bench.store.create({ data: { n: 1 }, userId: 'ada' });
    const record = bench.probe.peek(handle)!;
    const dump = inspect(bench.storage, { depth: Infinity, showHidden: true, maxArrayLength: 1_000 });
    for (const text of [JSON.stringify(record), JSON.stringify(bench.probe.calls), dump]) {
      expect(text).not.toContain(secretOf(id));
    }
    expect(await bench.store.load(`${handle}.${record.proof}`)).toBeUndefined();
    expect(await bench.store.load(record.proof)).toBeUndefined();
  });
});

describe.each(kinds)('SessionStore.load, save and destroy: %s', (kind) => {
  let bench: Bench;
  let id: string;
  let handle: string;

  beforeEach(async () => {
    bench = await open(kind);
    ({ id, handle } = await bench.store.create({ data: { n: 1 } }));
  });

  const issued = (secret: string) => `${handle}.${secret}`;

  it.each<[title: string, forge: () => unknown]>([
    ['an id that was never issued', () => `${'A'.repeat(22)}.${'B'.repeat(43)}`],
    ['the right handle with another secret', () => issued('B'.repeat(43))],
    ['the right secret with another handle', () => `${'A'.repeat(22)}.${secretOf(id)}`],
    ['the secret alone', () => secretOf(id)],
    ['the handle alone', () => handle],
    ['a handle and no secret', () => issued('')],
    ['an id that is cut short', () => id.slice(0, -1)],
    ['an id with something behind it', () => `${id}A`],
    ['an id in other letters', () => swapCase(id)],
    ['an id in quotes', () => `"${id}"`],
    ['an id with a space', () => ` ${id}`],
    ['an id with a line end', () => `${id}\n`],
    ['an id that is encoded', () => encodeURIComponent(id).replace('.', '%2E')],
    ['an empty id', () => ''],
    ['a path', () => '../../../../../../etc/passwd'],
    ['a million characters', () => 'x'.repeat(1_000_000)],
    ['a control character', () => `${id.slice(0, -1)}\u0007`],
    ['nothing', () => undefined],
    ['null', () => null],
    ['a number', () => 5],
    ['a list', () => [id]],
    ['an object', () => ({ toString: () => id })],
    ['__proto__', () => '__proto__'],
  ])('%s loads nothing, destroys nothing, and is no error (S3, S4)', async (_title, forge) => {
    const forged = forge() as string;
    expect(await bench.store.load(forged)).toBeUndefined();
    expect(await bench.store.destroy(forged)).toBe(false);
    expect(await bench.store.count()).toBe(1);
    expect(await bench.store.load(id)).toBeDefined();
  });

  it.each([
    '',
    'short',
    '../../../../../../etc/passwd',
    'x'.repeat(400),
    `${'a'.repeat(30)} b`,
    '"quoted-id-of-some-length"',
  ])('an id that is none asks no storage (S4): %j', async (malformed) => {
    bench.probe.forget();
    await bench.store.load(malformed);
    await bench.store.destroy(malformed);
    await failureOf(() => bench.store.tap(malformed, () => 1));
    expect(bench.probe.names).toEqual([]);
  });

  it('a session is alive a millisecond before its deadline and dead at it (S21, S25)', async () => {
    passTime(HOUR - 1);
    expect(await bench.store.load(id)).toBeDefined();
    passTime(1);
    expect(await bench.store.load(id)).toBeUndefined();
    expect(await bench.store.destroy(id)).toBe(false);
  });

  it('load does not touch', async () => {
    const before = bench.probe.peek(handle);
    passTime(HOUR / 2);
    bench.probe.forget();
    const session = await loaded(bench, id);
    expect(session.expiresAt).toEqual(inMs(HOUR / 2));
    expect(bench.probe.peek(handle)).toEqual(before);
    expect(bench.probe.names).toEqual(['read']);
  });

  it('each load is a session of its own: what one writes the other does not see', async () => {
    const [one, two] = [await loaded(bench, id), await loaded(bench, id)];
    one.set('n', 2);
    expect(two.get('n')).toBe(1);
  });

  it('save stores what changed', async () => {
    const session = await loaded(bench, id);
    session.set('n', 2);
    await bench.store.save(session);
    expect((await loaded(bench, id)).get('n')).toBe(2);
  });

  it('save takes a session of another node over the same storage, too', async () => {
    const node = await secondNode(kind, bench);
    const session = await loaded(node, id);
    session.set('n', 2);
    await bench.store.save(session);
    expect((await loaded(bench, id)).get('n')).toBe(2);
  });

  it('destroy ends it once (S26)', async () => {
    const node = await secondNode(kind, bench);
    expect(await bench.store.destroy(id)).toBe(true);
    expect(await bench.store.destroy(id)).toBe(false);
    expect(await node.store.load(id)).toBeUndefined();
    expect(await bench.store.isEmpty()).toBe(true);
  });

  it('destroy with the id from before a rotation ends nothing (S11)', async () => {
    const session = await loaded(bench, id);
    await session.regenerate();
    expect(await bench.store.destroy(id)).toBe(false);
    expect(await bench.store.load(session.id)).toBeDefined();
  });
});

describe.each(kinds)('purging and counting: %s', (kind) => {
  it('count includes what has expired until it is purged; purging removes that and no more (S25)', async () => {
    const { store } = await open(kind);
    expect(await store.isEmpty()).toBe(true);
    for (let i = 0; i < 3; i++) await store.create({ ttl: '1m' });
    const { id } = await store.create();
    passTime(60_000 - 1);
    expect(await store.purgeExpired()).toBe(0);
    passTime(1);
    expect(await store.count()).toBe(4);
    expect(await store.isEmpty()).toBe(false);
    expect(await store.purgeExpired()).toBe(3);
    expect(await store.purgeExpired()).toBe(0);
    expect(await store.count()).toBe(1);
    expect(await store.load(id)).toBeDefined();
  });

  it.each([1, 3, 5, 10, 11])('ten in batches of %i are all purged, and counted', async (batch) => {
    const bench = await open(kind, { purge: { batch } });
    for (let i = 0; i < 10; i++) await bench.store.create({ ttl: '1m' });
    passTime(60_000);
    expect(await bench.store.purgeExpired()).toBe(10);
    expect(await bench.store.isEmpty()).toBe(true);
    expect(bench.probe.of('purgeExpired').every(({ args: [limit] }) => limit === batch)).toBe(true);
  });
});

function swapCase(text: string): string {
  return text.replace(/[a-z]/gi, (letter) =>
    letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase(),
  );
}
