import { beforeEach, describe, expect, it } from '@jest/globals';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { MemoryStorage, type MemoryStorageOptions } from '../../src/storage/memory/index.js';
import type { StorageEvent } from '../../src/storage/session-storage.js';
import type { SessionRecord } from '../../src/storage/record.js';
import { describeSessionStorage } from '../../src/testing/storage-contract.js';

describeSessionStorage('MemoryStorage', ({ now }) => new MemoryStorage({ now }));

describeSessionStorage('MemoryStorage by the real clock', () => new MemoryStorage(), {
  clock: 'real',
  // The same object: what is tested is the suite's own part for several nodes.
  second: (storage) => storage,
});

const SECOND = 1_000;
const HOUR = 3_600 * SECOND;

let time: number;
let storage: MemoryStorage;
let events: StorageEvent[];

beforeEach(() => {
  time = Date.UTC(2030, 0, 1);
  newStorage();
});

function newStorage(options: MemoryStorageOptions = {}): void {
  storage = new MemoryStorage({ now: () => time, ...options });
  events = [];
  storage.subscribe((event) => events.push(event));
}

/** A record with a short name for a handle. */
function record(name: string, expiresAt = time + HOUR, fields: Partial<SessionRecord> = {}): SessionRecord {
  return {
    handle: name,
    proof: `proof-of-${name}`,
    createdAt: time,
    touchedAt: time,
    expiresAt,
    data: { visits: '1' },
    ...fields,
  };
}

function present(names: readonly string[]): string[] {
  return names.filter((name) => storage.read(name) !== undefined);
}

function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state % below;
  };
}

describe('a full MemoryStorage', () => {
  const names = (count: number) => Array.from({ length: count }, (_, i) => `s${i}`);

  it('ends the session that would expire first, and says so (S55)', () => {
    newStorage({ maxSessions: 3 });
    storage.create(record('second', time + 2 * SECOND));
    storage.create(record('first', time + SECOND));
    storage.create(record('third', time + HOUR));
    storage.create(record('fourth', time + 5 * HOUR));
    expect(present(['first', 'second', 'third', 'fourth'])).toEqual(['second', 'third', 'fourth']);
    storage.create(record('fifth', time + 6 * HOUR));
    expect(storage.count()).toBe(3);
    expect(events).toEqual([
      { type: 'evicted', handle: 'first', userId: undefined },
      { type: 'evicted', handle: 'second', userId: undefined },
    ]);
  });

  it('ends no session of a user for a flood of visitors (S60)', () => {
    newStorage({ maxSessions: 4_000 });
    const users = names(300);
    for (const name of users) storage.create(record(name, time + 60 * SECOND, { userId: `of-${name}` }));
    for (let i = 0; i < 4_300; i++) storage.create(record(`visitor${i}`));
    expect(present(users)).toEqual(users);
    expect(storage.count()).toBe(4_000);
    expect(events.length).toBe(600);
    expect(events.filter(({ type, userId }) => type !== 'evicted' || userId !== undefined)).toEqual([]);
  });

  it('counts a session among those of users from login to logout (S60)', () => {
    newStorage({ maxSessions: 4 });
    storage.create(record('logged-out', time + SECOND, { userId: 'ada' }));
    storage.create(record('logged-in', time + SECOND));
    storage.create(record('another-user', time + SECOND, { userId: 'ada' }));
    storage.create(record('visitor', time + HOUR));
    storage.update('logged-in', { userId: 'ada', expiresAt: time + 2 * SECOND });
    storage.update('another-user', { userId: 'bob' });
    storage.update('logged-out', { userId: null, expiresAt: time + 2 * HOUR });
    for (const name of ['new1', 'new2']) storage.create(record(name, time + 3 * HOUR));
    expect(events.map(({ handle }) => handle)).toEqual(['visitor', 'logged-out']);
    time += 3 * SECOND;
    for (const name of ['new3', 'new4']) storage.create(record(name, time + 4 * HOUR));
    const expired = events.slice(2).filter(({ type }) => type === 'expired');
    expect(expired.map(({ handle }) => handle).toSorted()).toEqual(['another-user', 'logged-in']);
  });

  it('ends the session of a user that would expire first where there is no other', async () => {
    newStorage({ maxSessions: 2 });
    storage.create(record('second', time + 2 * SECOND, { userId: 'ada' }));
    storage.create(record('first', time + SECOND, { userId: 'ada' }));
    storage.create(record('third', time + HOUR, { userId: 'bob' }));
    storage.create(record('visitor', time + HOUR));
    expect(events).toEqual([
      { type: 'evicted', handle: 'first', userId: 'ada' },
      { type: 'evicted', handle: 'second', userId: 'ada' },
    ]);
    expect(await storage.byUser('ada')).toEqual([]);
    storage.create(record('next-visitor', time + HOUR));
    expect(present(['third', 'visitor', 'next-visitor'])).toEqual(['third', 'next-visitor']);
  });

  it('goes by the deadlines as they are now: touched sessions stay', () => {
    newStorage({ maxSessions: 5 });
    for (const [i, name] of names(5).entries()) storage.create(record(name, time + SECOND + i));
    storage.update('s0', { expiresAt: time + HOUR });
    storage.update('s1', { expiresAt: time + 500 * 24 * HOUR });
    storage.update('s4', { expiresAt: time + 1 });
    for (const name of ['new0', 'new1', 'new2']) storage.create(record(name, time + 2 * HOUR));
    expect(events.map((event) => event.handle)).toEqual(['s4', 's2', 's3']);
  });

  it.each([
    ['milliseconds', 50],
    ['seconds', 60 * SECOND],
    ['hours', 12 * HOUR],
    ['months', 100 * 24 * HOUR],
  ])('takes sessions in the exact order of deadlines that lie %s apart', (_, span) => {
    newStorage({ maxSessions: 500 });
    const pick = random(span);
    const deadlines = new Map<string, number>();
    for (const name of names(500)) {
      deadlines.set(name, time + 1 + pick(span));
      storage.create(record(name, deadlines.get(name)));
    }
    for (const name of names(500).filter((_name, i) => i % 3 > 0)) {
      deadlines.set(name, time + 1 + pick(span * 2));
      storage.update(name, { expiresAt: deadlines.get(name)! });
    }
    for (const name of names(500)) storage.create(record(`new-${name}`, time + 1_000 * 24 * HOUR));
    const evicted = events.map((event) => deadlines.get(event.handle!)!);
    expect(evicted).toEqual([...deadlines.values()].toSorted((a, b) => a - b));
  });

  it('takes expired sessions before it ends a live one, as expired', () => {
    newStorage({ maxSessions: 2 });
    storage.create(record('dead', time + SECOND));
    storage.create(record('live'));
    time += SECOND;
    storage.create(record('next'));
    expect(present(['live', 'next'])).toEqual(['live', 'next']);
    expect(events).toEqual([{ type: 'expired', handle: 'dead', userId: undefined }]);
  });

  it('is quick also when every session it looks at was touched since', () => {
    newStorage({ maxSessions: 20_000 });
    for (const name of names(20_000)) storage.create(record(name, time + SECOND));
    for (const name of names(20_000)) storage.update(name, { expiresAt: time + HOUR });
    const looks = countLooks(storage);
    storage.create(record('new', time + 2 * HOUR));
    expect(looks()).toBeLessThan(5_000);
    for (let i = 0; i < 5_000; i++) storage.create(record(`new${i}`, time + 2 * HOUR));
    expect(looks()).toBeLessThan(100_000);
    expect(storage.count()).toBe(20_000);
  });

  it('refuses new sessions when told to, and keeps all it has', () => {
    newStorage({ maxSessions: 2, whenFull: 'reject' });
    storage.create(record('a'));
    storage.create(record('b', time + 2 * HOUR));
    expect(() => storage.create(record('c'))).toThrow(/full with 2 sessions.*maxSessions/s);
    expect(storage.create(record('a'))).toBe(false);
    expect(present(['a', 'b', 'c'])).toEqual(['a', 'b']);
    expect([storage.count(), events]).toEqual([2, []]);
    time += HOUR;
    expect(storage.create(record('c'))).toBe(true);
    expect(present(['a', 'b', 'c'])).toEqual(['b', 'c']);
    expect(events).toEqual([{ type: 'expired', handle: 'a', userId: undefined }]);
  });

  it('does not end another session for a handle that is taken', () => {
    newStorage({ maxSessions: 2 });
    storage.create(record('a'));
    storage.create(record('b'));
    expect(storage.create(record('b'))).toBe(false);
    expect(storage.count()).toBe(2);
  });
});

describe('purging a MemoryStorage', () => {
  it('tells of each expired session, and of no other', async () => {
    storage.create(record('dead', time + SECOND, { userId: 'ada' }));
    storage.create(record('live'));
    storage.create(record('destroyed'));
    storage.destroy('destroyed');
    time += SECOND;
    await storage.purgeExpired(10);
    expect(events).toEqual([{ type: 'expired', handle: 'dead', userId: 'ada' }]);
  });

  it('tells of an expired session that a new one replaces, or that is destroyed', () => {
    storage.create(record('replaced', time + SECOND));
    storage.create(record('destroyed', time + SECOND));
    time += SECOND;
    expect(storage.create(record('replaced'))).toBe(true);
    expect(storage.destroy('destroyed')).toBe(false);
    expect(events.map((event) => [event.type, event.handle])).toEqual([
      ['expired', 'replaced'],
      ['expired', 'destroyed'],
    ]);
  });

  it('answers at once when there is little to do', () => {
    storage.create(record('dead', time + SECOND));
    storage.create(record('live'));
    expect(storage.purgeExpired(10)).toBe(0);
    time += SECOND;
    expect(storage.purgeExpired(10)).toBe(1);
  });

  it('looks at nothing that is not due', async () => {
    for (let i = 0; i < 5_000; i++) storage.create(record(`live${i}`));
    for (let i = 0; i < 10; i++) storage.create(record(`dead${i}`, time + SECOND));
    time += SECOND;
    const looks = countLooks(storage);
    expect(await storage.purgeExpired(100)).toBe(10);
    expect(looks()).toBeLessThan(20);
  });

  it('files a touched session again only when its old deadline comes', async () => {
    storage.create(record('touched', time + HOUR));
    const looks = countLooks(storage);
    for (let i = 1; i <= 100; i++) storage.update('touched', { expiresAt: time + HOUR + i * SECOND });
    expect(looks()).toBe(0);
    time += HOUR;
    expect(await storage.purgeExpired(10)).toBe(0);
    expect(looks()).toBe(1);
    expect(await storage.purgeExpired(10)).toBe(0);
    expect(looks()).toBe(1);
    time += 100 * SECOND;
    expect(await storage.purgeExpired(10)).toBe(1);
  });

  it('gives the event loop its turns while it removes many (S51)', async () => {
    for (let i = 0; i < 20_000; i++) storage.create(record(`s${i}`, time + SECOND));
    time += SECOND;
    const turns = countTurns();
    expect(await storage.purgeExpired(Infinity)).toBe(20_000);
    expect(turns()).toBeGreaterThanOrEqual(15);
  });

  it('gives them too while it only files touched sessions again', async () => {
    for (let i = 0; i < 20_000; i++) storage.create(record(`s${i}`, time + SECOND));
    for (let i = 0; i < 20_000; i++) storage.update(`s${i}`, { expiresAt: time + HOUR });
    time += SECOND;
    const turns = countTurns();
    expect(await storage.purgeExpired(Infinity)).toBe(0);
    expect(turns()).toBeGreaterThanOrEqual(15);
    expect(storage.count()).toBe(20_000);
  });

  it('gives them too between batches, to who awaits batch after batch', async () => {
    for (let i = 0; i < 2_000; i++) storage.create(record(`s${i}`, time + SECOND));
    time += SECOND;
    const turns = countTurns();
    while ((await storage.purgeExpired(100)) === 100);
    expect(storage.count()).toBe(0);
    expect(turns()).toBeGreaterThanOrEqual(15);
  });

  it('stays right when sessions come, go and are touched between its turns', async () => {
    const pick = random(7);
    const deadlines = new Map<string, number>();
    const write = (name: string) => {
      const expiresAt = time + SECOND + pick(HOUR);
      if (storage.create(record(name, expiresAt)) || storage.update(name, { expiresAt }) === 'ok') {
        deadlines.set(name, expiresAt);
      }
    };
    for (let i = 0; i < 10_000; i++) write(`s${i}`);
    for (let round = 0; round < 5; round++) {
      time += HOUR / 4;
      const purging = Promise.all([storage.purgeExpired(Infinity), storage.purgeExpired(3_000)]);
      for (let turn = 0; turn < 5; turn++) {
        for (let i = 0; i < 300; i++) write(`s${pick(12_000)}`);
        for (let i = 0; i < 300; i++) {
          const name = `s${pick(12_000)}`;
          storage.destroy(name);
          deadlines.delete(name);
        }
        time += 7;
        await new Promise(setImmediate);
      }
      await purging;
      await storage.purgeExpired(Infinity);
      const alive = [...deadlines].filter(([, expiresAt]) => expiresAt > time);
      expect(storage.count()).toBe(alive.length);
      expect(alive.filter(([name, expiresAt]) => storage.read(name)?.expiresAt !== expiresAt)).toEqual([]);
    }
  });

  it('copes with deadlines that are not whole, past, or at the end of time', async () => {
    storage.create(record('fraction', time + 0.5));
    storage.create(record('past', -1));
    storage.create(record('never', Infinity));
    storage.create(record('far', Number.MAX_SAFE_INTEGER));
    expect(present(['fraction', 'past', 'never', 'far'])).toEqual(['fraction', 'never', 'far']);
    expect(await storage.purgeExpired(10)).toBe(1);
    time += 1;
    expect(await storage.purgeExpired(10)).toBe(1);
    expect(present(['never', 'far'])).toEqual(['never', 'far']);
  });
});

describe('what a MemoryStorage finds', () => {
  const fill = (count: number, fields: Partial<SessionRecord> = {}) => {
    for (let i = 0; i < count; i++) storage.create(record(`s${i}`, time + HOUR, fields));
  };
  const handlesOf = (records: readonly SessionRecord[]) => records.map(({ handle }) => handle);

  it('of a user with a few hundred sessions it answers at once', () => {
    fill(500, { userId: 'ada' });
    expect((storage.byUser('ada') as SessionRecord[]).length).toBe(500);
  });

  it('of a user with 50,000 it answers with turns of the event loop in between (S51)', async () => {
    fill(50_000, { userId: 'ada' });
    const turns = countTurns();
    const found = await storage.byUser('ada');
    expect(turns()).toBeGreaterThanOrEqual(99);
    expect(new Set(handlesOf(found)).size).toBe(50_000);
  });

  it('of a user is no session that ended, or went to another, between those turns', async () => {
    fill(5_000, { userId: 'ada' });
    const finding = storage.byUser('ada') as Promise<SessionRecord[]>;
    // All of them, so that it is no matter which the first slice saw; what comes takes the slots that were free.
    const dead = Array.from({ length: 2_000 }, (_, i) => `s${i}`);
    for (const name of dead) storage.destroy(name);
    for (let i = 0; i < 1_000; i++) storage.create(record(`bob${i}`, time + HOUR, { userId: 'bob' }));
    for (let i = 2_000; i < 4_000; i++) storage.update(`s${i}`, { userId: i % 2 ? 'bob' : null });
    storage.update('s4000', { expiresAt: time });
    const found = await finding;
    const later = new Set(found.slice(500).map(({ handle }) => handle));
    expect([...later].filter((handle) => storage.read(handle)?.userId !== 'ada')).toEqual([]);
    const all = new Set(handlesOf(found));
    expect(handlesOf(await storage.byUser('ada')).filter((handle) => !all.has(handle))).toEqual([]);
  });

  it('of a user is nothing in pages of memory that were given back meanwhile', async () => {
    fill(20_000, { userId: 'ada' });
    const finding = storage.byUser('ada');
    for (let i = 0; i < 20_000; i++) storage.destroy(`s${i}`);
    expect((await finding).length).toBe(500);
  });

  it('for a list comes in pages of exactly the limit but for the last, each session once', async () => {
    fill(25);
    const pages: SessionRecord[][] = [];
    let cursor: string | undefined;
    do {
      const page = await storage.list({ limit: 10, cursor });
      pages.push([...page.records]);
      ({ cursor } = page);
    } while (cursor !== undefined);
    expect(pages.map(({ length }) => length)).toEqual([10, 10, 5]);
    expect(new Set(handlesOf(pages.flat())).size).toBe(25);
  });

  it('for a list of everything comes with turns of the event loop in between (S51)', async () => {
    fill(50_000);
    const turns = countTurns();
    const { records, cursor } = await storage.list({ limit: Infinity });
    expect(turns()).toBeGreaterThanOrEqual(99);
    expect([records.length, cursor]).toEqual([50_000, undefined]);
  });

  it.each(['', '-1', '1.5', 'NaN', '1e3', '99999999999'])(
    'for a list has no page at the cursor %j',
    (cursor) => {
      expect(() => storage.list({ limit: 10, cursor })).toThrow(/cursor/);
    },
  );
});

describe('the memory of a MemoryStorage', () => {
  it('is given back after a flood of sessions that came and went (S52, S55)', () => {
    const flood = (from: number) => {
      for (let i = from; i < from + 20_000; i++) {
        storage.create(record(`s${i}`, time + i * 977, { userId: `u${i}`, data: { [`k${i % 50}`]: '1' } }));
      }
      for (let i = from; i < from + 20_000; i++) storage.destroy(`s${i}`);
    };
    flood(0);
    const before = usedMemory();
    for (let i = 1; i < 6; i++) flood(i * 20_000);
    expect(storage.count()).toBe(0);
    expect(usedMemory() - before).toBeLessThan(500_000);
  });

  it('is given back after a flood has expired', async () => {
    const quiet = new MemoryStorage({ now: () => time });
    const before = usedMemory();
    for (let i = 0; i < 50_000; i++) {
      quiet.create(record(`s${i}`, time + SECOND, { userId: `u${i % 1_000}` }));
    }
    expect(usedMemory() - before).toBeGreaterThan(5_000_000);
    time += SECOND;
    expect(await quiet.purgeExpired(Infinity)).toBe(50_000);
    expect(usedMemory() - before).toBeLessThan(1_000_000);
    expect(quiet.count()).toBe(0);
  });

  it('holds on to no bigger string that a value was cut from', () => {
    const before = usedMemory();
    for (let i = 0; i < 50; i++) {
      const page = `${i}${'x'.repeat(200_000)}`;
      const small = { cut: page.slice(1_000, 1_040) };
      const big = { cut: page.slice(1_000, 1_040), rest: page.slice(2_000, 4_000) };
      storage.create(record(page.slice(0, 30), time + HOUR, { proof: page.slice(50, 93), data: small }));
      storage.create(record(`b${page.slice(0, 30)}`, time + HOUR, { userId: page.slice(0, 40), data: big }));
      storage.update(page.slice(0, 30), { set: { cut: page.slice(7, 50) } });
    }
    expect(usedMemory() - before).toBeLessThan(2_000_000);
  });

  it('keeps no list, chain or layout of sessions that are gone', () => {
    const names = Array.from({ length: 6_000 }, (_, i) => `s${i}`);
    for (const name of names) {
      storage.create(record(name, time + HOUR, { userId: `u-${name}`, data: { [`key-${name}`]: '1' } }));
    }
    for (const name of names) storage.destroy(name);
    const { bodies, byHandle, users, deadlines } = storage as unknown as MemoryStorageInside;
    expect(bodies.layouts.byName.size).toBe(0);
    expect(byHandle.headCount).toBeLessThan(10);
    expect(users.members.headCount).toBeLessThan(10);
    for (const buckets of [deadlines.visitors, deadlines.users]) {
      expect([buckets.keys.length, buckets.rings.size, buckets.keyOfRing.size]).toEqual([0, 0, 0]);
    }
  });

  it.each([
    ['handle', { handle: 'a\u001fb' }],
    ['user id', { userId: 'a\u001fb' }],
    ['client', { client: 'a\u001fb' }],
    ['proof', { proof: 'a\u001fb' }],
    ['value', { data: { visits: 'a\u001fb' } }],
    ['key', { data: { 'a\u001fb': '1' } }],
  ])('keeps sessions apart, also when a %s contains what separates fields', (_, fields: object) => {
    const others = [record('a'), record('b', time + HOUR, { data: { a: '1', b: '2' } })];
    for (const other of others) storage.create(other);
    const odd = record('odd', time + HOUR, fields);
    storage.create(odd);
    for (const each of [odd, ...others]) expect(storage.read(each.handle)).toEqual(each);
    if (odd.userId !== undefined) expect(storage.byUser(odd.userId)).toEqual([odd]);
    expect(storage.update(odd.handle, { set: { more: '1' } })).toBe('ok');
    expect(storage.read(odd.handle)).toEqual({ ...odd, data: { ...odd.data, more: '1' } });
    expect(storage.destroy(odd.handle)).toBe(true);
    expect(storage.count()).toBe(2);
  });

  it('takes no text that spans fields for one of them', () => {
    const proof = 'proof-of-a';
    storage.create(record('a', time + HOUR, { userId: 'ada', proof, ttl: 5_000, client: '"x"' }));
    for (const userId of [`ada\u001f${proof}`, 'ad', 'a', '', `ada\u001f`]) {
      expect(storage.update('a', { expected: { userId } })).toBe('conflict');
    }
    for (const text of [`${proof}\u001f`, `${proof}\u001f\u001f5000`, proof.slice(1)]) {
      expect(storage.update('a', { expected: { proof: text } })).toBe('conflict');
    }
    expect(storage.update('a', { expected: { ttl: 500 } })).toBe('conflict');
  });

  it.each([
    ['small', 'x'],
    ['big', 'x'.repeat(5_000)],
  ])('tells an empty client from none, in a %s session', (_, text) => {
    for (const client of ['', '"phone"', undefined]) {
      storage.create(record(`of ${client}`, time + HOUR, { client, data: { text } }));
      expect(storage.read(`of ${client}`)?.client).toBe(client);
      storage.update(`of ${client}`, { ttl: 5_000 });
      expect(storage.read(`of ${client}`)?.client).toBe(client);
    }
  });

  it('of big sessions meets expectations as that of small ones', () => {
    const data = { text: 'x'.repeat(5_000) };
    storage.create(record('user', time + HOUR, { userId: 'ada', ttl: 5_000, data }));
    storage.create(record('visitor', time + HOUR, { data }));
    const met = { proof: 'proof-of-user', ttl: 5_000, userId: 'ada' };
    expect(storage.update('user', { expected: met })).toBe('ok');
    expect(
      storage.update('visitor', { expected: { proof: 'proof-of-visitor', ttl: null, userId: null } }),
    ).toBe('ok');
    for (const wrong of [{ proof: 'x' }, { ttl: 1 }, { ttl: null }, { userId: 'bob' }, { userId: null }]) {
      expect(storage.update('user', { expected: { ...met, ...wrong } })).toBe('conflict');
    }
    for (const wrong of [{ ttl: 1 }, { userId: 'ada' }]) {
      expect(storage.update('visitor', { expected: wrong })).toBe('conflict');
    }
  });

  it('takes what separates fields for a new value too', () => {
    storage.create(record('a', time + HOUR, { data: { first: '1', second: '2' } }));
    storage.update('a', { set: { first: 'x\u001fy' } });
    expect(storage.read('a')?.data).toEqual({ first: 'x\u001fy', second: '2' });
  });

  it('tells no keys from one empty key', () => {
    for (const [name, data] of Object.entries<Record<string, string>>({
      none: {},
      one: { '': '' },
      two: { '': '', a: '' },
    })) {
      storage.create(record(name, time + HOUR, { data }));
      expect(storage.read(name)?.data).toEqual(data);
    }
  });

  it('does not let a reader change what is stored', () => {
    storage.create(record('small'));
    storage.create(record('big', time + HOUR, { data: { text: 'x'.repeat(5_000) } }));
    storage.create(record('grown', time + HOUR, { data: { text: 'x' } }));
    storage.update('grown', { set: { text: 'x'.repeat(5_000) } });
    for (const handle of ['small', 'big', 'grown']) {
      const before = storage.read(handle);
      const data = storage.read(handle)!.data as Record<string, string>;
      expect(Reflect.set(data, 'added', '1')).toBe(handle === 'small');
      expect(storage.read(handle)).toEqual(before);
    }
  });

  it('finds ten thousand sessions and users among each other, and loses none as they go', async () => {
    const numbers = Array.from({ length: 10_000 }, (_, i) => i);
    const odd = numbers.filter((i) => i % 2 === 1);
    const even = numbers.filter((i) => i % 2 === 0);
    for (const i of numbers) storage.create(record(`s${i}`, time + HOUR + i, { userId: `u${i % 3_000}` }));
    expect(even.every((i) => storage.destroy(`s${i}`))).toBe(true);
    expect(numbers.filter((i) => storage.read(`s${i}`)?.handle === `s${i}`)).toEqual(odd);
    for (const i of odd) storage.update(`s${i}`, { userId: `u${i % 7}` });
    expect(storage.byUser('u8')).toEqual([]);
    expect((await storage.byUser('u3')).length).toBe(odd.filter((i) => i % 7 === 3).length);
    expect(odd.every((i) => storage.destroy(`s${i}`))).toBe(true);
    expect(storage.count()).toBe(0);
    expect(storage.byUser('u3')).toEqual([]);
  });
});

describe('the options of a MemoryStorage', () => {
  it.each([
    [{ maxSessions: 0 }, /maxSessions must be a whole number > 0; got 0/],
    [{ maxSessions: 1.5 }, /maxSessions must be .*got 1.5/],
    [{ maxSessions: '100' }, /maxSessions must be .*got "100"/],
    [{ whenFull: 'explode' }, /whenFull must be "evict" or "reject"; got "explode"/],
    [{ now: 123 }, /now must be a function .*got 123/],
    [{ maxSession: 5 }, /maxSession is not an option .*there are maxSessions, whenFull, now/],
    [{ toString: 5 }, /toString is not an option/],
    [null, /the options must be an object; got null/],
    ['x', /the options must be an object; got a string/],
  ])('%j are refused', (options, message) => {
    expect(() => new MemoryStorage(options as MemoryStorageOptions)).toThrow(message);
  });

  it('may all be left out', () => {
    expect(new MemoryStorage({ maxSessions: undefined, whenFull: undefined, now: undefined }).count()).toBe(
      0,
    );
  });

  it('leave the clock to Date.now as it is at each call', () => {
    const clocked = new MemoryStorage();
    const { now } = Date;
    try {
      clocked.create(record('a', now() + HOUR));
      Date.now = () => now() + HOUR;
      expect(clocked.read('a')).toBeUndefined();
    } finally {
      Date.now = now;
    }
  });
});

interface MemoryStorageInside {
  bodies: { layouts: { byName: Map<string, unknown> } };
  byHandle: { headCount: number };
  users: { members: { headCount: number } };
  deadlines: { visitors: Buckets; users: Buckets };
}

interface Buckets {
  readonly keys: number[];
  readonly rings: Map<number, number>;
  readonly keyOfRing: Map<number, number>;
  refileFirst(...args: unknown[]): void;
}

/** How many slots were filed in the buckets of a storage from now on. */
function countLooks(watched: MemoryStorage): () => number {
  const { deadlines } = watched as unknown as MemoryStorageInside;
  let looks = 0;
  for (const buckets of [deadlines.visitors, deadlines.users]) {
    const refileFirst = buckets.refileFirst.bind(buckets);
    buckets.refileFirst = (...args) => {
      looks++;
      refileFirst(...args);
    };
  }
  return () => looks;
}

/** How many turns the event loop had from now on. */
function countTurns(): () => number {
  let turns = 0;
  let counting = true;
  const turn = () => {
    turns++;
    if (counting) setImmediate(turn);
  };
  setImmediate(turn);
  return () => {
    counting = false;
    return turns;
  };
}

function usedMemory(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
