import * as crypto from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';

const given: Buffer[] = [];
const compared: (readonly [number, number])[] = [];

jest.unstable_mockModule('node:crypto', () => ({
  ...crypto,
  randomBytes: (size: number) => {
    const bytes = crypto.randomBytes(size);
    given.push(Buffer.from(bytes));
    return bytes;
  },
  timingSafeEqual: (one: Buffer, other: Buffer) => {
    compared.push([one.length, other.length]);
    return crypto.timingSafeEqual(one, other);
  },
}));
const { kinds, open, secretOf, visitor } = await import('../support/session-bench.js');
const { proofOf, proves } = await import('../../src/session/id.js');

describe.each(kinds)('where ids come from, and how they are checked: %s', (kind) => {
  beforeEach(() => {
    given.length = 0;
    compared.length = 0;
  });
  afterEach(() => void jest.restoreAllMocks());

  it('the 16 and 32 bytes of an id are the generator’s, as they are, and nothing else (S1, S2)', async () => {
    const bench = await open(kind);
    const session = await bench.store.create({ data: { n: 1 }, userId: 'ada' });
    const parts = session.id.split('.');
    expect(given.map(({ length }) => length).toSorted((a, b) => a - b)).toEqual([16, 32]);
    expect(new Set(given.map((bytes) => bytes.toString('base64url')))).toEqual(new Set(parts));
    await session.regenerate();
    expect(given).toHaveLength(3);
    expect(secretOf(session.id)).toBe(given[2]!.toString('base64url'));
  });

  it.each<[way: string, forge: (id: string) => string, live: boolean]>([
    ['the right one', (id) => id, true],
    ['another one', (id) => `${id.slice(0, 23)}${'B'.repeat(43)}`, false],
    ['one that differs in its last character', (id) => `${id.slice(0, -1)}~`, false],
  ])('%s is compared in constant time, and all of what is stored of it (S9)', async (_way, forge, live) => {
    const bench = await open(kind);
    const id = forge((await bench.store.create()).id);
    expect((await bench.store.load(id)) !== undefined).toBe(live);
    expect((await visitor(bench, `sid=${id}`)).isNew).toBe(!live);
    expect(compared).toEqual([
      [43, 43],
      [43, 43],
    ]);
  });
});

it('a stored proof of another length proves nothing, whatever was compared before it (S9)', () => {
  const secret = 'a'.repeat(43);
  const proof = proofOf(secret);
  for (const wrong of [proof.slice(0, -1), proof.slice(0, 1), '', `${proof}A`]) {
    expect(proves(secret, proof)).toBe(true);
    expect(proves(secret, wrong)).toBe(false);
  }
});

it('an id of one’s own that starts like a handle is all secret: no part of it is public (S2)', async () => {
  const bench = await open('memory storage');
  const start = 'A'.repeat(22);
  for (const rest of ['x', 'x'.repeat(21)]) {
    const session = await bench.store.create({ id: `${start}.${rest}` });
    expect(session.handle).not.toBe(start);
    expect(await bench.store.load(`${start}.${rest}`)).toBeDefined();
  }
});
