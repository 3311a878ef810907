import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import Database from 'libsql';
import type { StorageEvent } from 'nest-sessions';
import { OPTIONAL } from '../../src/testing/storage-contract/bench.js';
import { SqliteStorage } from './custom-storage.js';
import { blocksOf, tableOf } from './documents.js';

const PAGE = 'docs/storages.md';
const DEADLINE = Date.UTC(2030, 0, 1);

const linesOf = (code: string): string[] =>
  code
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');

describe('the page on storages', () => {
  it('shows a whole storage, piece by piece and in order, and the suite that it passes', () => {
    const shown = blocksOf(PAGE).flatMap(({ code }) => linesOf(code));
    const files = ['test/docs/custom-storage.ts', 'test/docs/custom-storage.spec.ts'];
    expect(shown).toEqual(files.flatMap((file) => linesOf(readFileSync(file, 'utf8'))));
  });

  it('has every method that may be missing', () => {
    const names = tableOf(PAGE, 'method', 'who calls it').flatMap(([cell]) =>
      [...cell!.matchAll(/`(\w+)/g)].map(([, name]) => name!),
    );
    expect(names.toSorted()).toEqual([...OPTIONAL, 'lock', 'open', 'close'].toSorted());
  });

  it('has every capability', () => {
    const source = readFileSync('src/testing/storage-contract.ts', 'utf8');
    const [, body] = /interface StorageCapabilities \{(.*?)^\}/ms.exec(source)!;
    const names = [...body!.matchAll(/^ {2}readonly (\w+)\?/gm)].map(([, name]) => `\`${name}\``);
    expect(tableOf(PAGE, 'capability', 'default').map(([cell]) => cell)).toEqual(names);
  });
});

describe('the storage that it shows', () => {
  const record = {
    handle: 'h',
    proof: 'p',
    createdAt: 0,
    touchedAt: 0,
    expiresAt: DEADLINE,
    data: { a: '1' },
  };

  function opened(now = DEADLINE - 1) {
    const database = new Database(':memory:');
    const clock = { now };
    const storage = new SqliteStorage(database, () => clock.now);
    storage.open();
    const events: StorageEvent[] = [];
    storage.subscribe((event) => events.push(event));
    return { database, clock, storage, events };
  }

  it('takes a damaged record for none, and says so (S49)', () => {
    const { database, storage, events } = opened();
    storage.create({ ...record, userId: 'ada' });
    database.exec(`update sessions set data = '{'`);
    expect([storage.read('h'), storage.byUser('ada')]).toEqual([undefined, []]);
    expect(events).toEqual([
      { type: 'corrupt', handle: 'h' },
      { type: 'corrupt', handle: 'h' },
    ]);
  });

  it('tells of each session that it purges', () => {
    const { clock, storage, events } = opened();
    storage.create({ ...record, userId: 'ada' });
    clock.now = DEADLINE;
    expect(storage.purgeExpired(10)).toBe(1);
    expect(events).toEqual([{ type: 'expired', handle: 'h', userId: 'ada' }]);
  });

  it('stores nothing for a user whose id the driver would cut (S59)', () => {
    const { storage } = opened();
    expect(() => storage.create({ ...record, userId: 'ada\0' })).toThrow(/NUL/);
    expect(storage.count()).toBe(0);
  });

  it('leaves no place in the line of a lock that was not free, nor one of a process that died', async () => {
    const { database, clock, storage } = opened(0);
    const places = () => database.prepare('select place from sessionLine').all().length;
    await storage.lock('h', { wait: 0, hold: 1_000 });
    await expect(storage.lock('h', { wait: 0, hold: 1_000 })).rejects.toThrow(/not free within 0 ms/);
    expect(places()).toBe(1);
    clock.now = 1_000;
    const next = await storage.lock('h', { wait: 0, hold: 1_000 });
    expect(places()).toBe(2);
    storage.purgeExpired(10);
    expect(places()).toBe(1);
    await next.release();
    expect(places()).toBe(0);
  });
});
