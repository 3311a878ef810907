import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { SqlStorage } from '../../../src/storage/sql/index.js';
import { type Counted, counted, whyNotCounted } from './support/counted.js';
import { describeWithDatabase, newTable, plainDrivers } from './support/databases.js';
import { HOUR, newProof, newRecord, times } from './support/records.js';

for (const product of ['PostgreSQL', 'MariaDB', 'SQLite'] as const) {
  const { missing } = plainDrivers.find((kind) => kind.product === product)!;
  describeWithDatabase(
    product,
    `statements on ${product}`,
    (place) => {
      let database: Counted;
      let table: string;
      let storage: SqlStorage;

      beforeEach(async () => {
        database = await counted[product](place().url);
        table = newTable();
        storage = new SqlStorage(database.database, { table });
        await storage.open();
      });
      afterEach(async () => {
        await database.query(`DROP TABLE ${table}`);
        await database.query(`DROP TABLE ${table}_leases`);
        await database.close();
      });

      /** How many statements `work` takes. */
      const cost = async (work: () => unknown): Promise<number> => {
        database.sent.length = 0;
        await work();
        return database.sent.length;
      };

      it('are one for each thing that is done to a session', async () => {
        const record = newRecord({ userId: 'ada' });
        const { handle, proof } = record;
        expect(await cost(() => storage.create(record))).toBe(1);
        expect(await cost(() => storage.read(handle))).toBe(1);
        expect(await cost(() => storage.update(handle, { set: { a: '1' } }))).toBe(1);
        const touch = { touchedAt: Date.now(), expiresAt: Date.now() + HOUR };
        const expected = { proof, ttl: null, userId: 'ada' };
        expect(await cost(() => storage.update(handle, { ...touch, expected }))).toBe(1);
        const login = { proof: newProof(), userId: 'bob', ttl: 5, client: '1', remove: ['a'] };
        expect(await cost(() => storage.update(handle, { ...login, ...touch, expected }))).toBe(1);
        expect(await cost(() => storage.byUser('bob'))).toBe(1);
        expect(await cost(() => storage.alive([handle]))).toBe(1);
        expect(await cost(() => storage.list({ limit: 10 }))).toBe(1);
        expect(await cost(() => storage.count())).toBe(1);
        expect(await cost(() => storage.destroy(handle, { userId: 'bob' }))).toBe(1);
      });

      it('are three more for a tap than for a write: take the lease, read again, give it back', async () => {
        const { handle } = newRecord();
        await storage.create(newRecord({ handle }));
        const tap = async () => {
          const lease = await storage.lock(handle, { wait: 1_000, hold: 1_000 });
          await storage.read(handle);
          expect(await storage.update(handle, { set: { a: '1' }, lease: lease.token })).toBe('ok');
          await lease.release();
        };
        expect(await cost(tap)).toBe(4);
      });

      it('of an update that changes nothing are one too: what was matched is not gone', async () => {
        const record = newRecord();
        await storage.create(record);
        const same = { set: { visits: '1' }, proof: record.proof, expiresAt: record.expiresAt };
        expect(await cost(async () => expect(await storage.update(record.handle, same)).toBe('ok'))).toBe(1);
      });

      it('are none for a handle or a user that the database cannot hold', async () => {
        expect(await cost(() => storage.read("' OR 1=1 --"))).toBe(0);
        expect(await cost(() => storage.update('a b', { set: { a: '1' } }))).toBe(0);
        expect(await cost(() => storage.destroy('\0'))).toBe(0);
        expect(await cost(() => storage.byUser('u'.repeat(513)))).toBe(0);
        expect(() => storage.create(newRecord({ handle: 'a b' }))).toThrow('1 to 64 characters');
        expect(() => storage.create(newRecord({ userId: '\ud800' }))).toThrow(
          'no well-formed Unicode; nothing was stored',
        );
      });

      if (product !== 'SQLite') {
        it('are prepared once per connection', async () => {
          const before = await database.prepared();
          const records = times(20, () => newRecord());
          for (const record of records) {
            await storage.create(record);
            await storage.read(record.handle);
            await storage.update(record.handle, { set: { a: '1' } });
            await storage.update(record.handle, { expiresAt: Date.now() + HOUR });
          }
          expect((await database.prepared()) - before).toBe(3);
        });

        it('have no text of anybody’s in them (S71)', async () => {
          const text = `x'"\\\`; DROP TABLE ${table}; --`;
          const record = newRecord({ userId: text, client: text, data: { [text]: text } });
          const work = async () => {
            await storage.create(record);
            await storage.update(record.handle, {
              set: { [text]: text },
              remove: [`${text}2`],
              userId: text,
            });
            await storage.byUser(text);
            await storage.destroy(record.handle, { userId: text });
          };
          await cost(work);
          expect(database.sent.filter((sql) => /DROP/.test(sql))).toEqual([]);
        });
      }
    },
    missing ?? whyNotCounted(product),
  );
}

describeWithDatabase('PostgreSQL', 'statements that are not prepared', (place) => {
  it('leave none on the connection', async () => {
    const database = await counted.PostgreSQL(place().url);
    const table = newTable();
    const storage = new SqlStorage(database.database, { table, prepare: false });
    await storage.open();
    const record = newRecord();
    await storage.create(record);
    expect(await storage.read(record.handle)).toEqual(record);
    expect(await database.prepared()).toBe(0);
    await database.query(`DROP TABLE ${table}, ${table}_leases`);
    await database.close();
  });
});

describeWithDatabase(
  'PostgreSQL',
  'statements that somebody has thrown away on their connection',
  (place) => {
    it('are prepared on the next one', async () => {
      const database = await counted.PostgreSQL(place().url);
      const table = newTable();
      const storage = new SqlStorage(database.database, { table });
      await storage.open();
      const record = newRecord();
      await storage.create(record);
      expect(await storage.read(record.handle)).toEqual(record);
      await database.query('DISCARD ALL');
      await expect(Promise.resolve(storage.read(record.handle))).rejects.toThrow('does not exist');
      expect(await storage.read(record.handle)).toEqual(record);
      expect(await storage.update(record.handle, { set: { a: '1' } })).toBe('ok');
      await database.query(`DROP TABLE ${table}, ${table}_leases`);
      await database.close();
    });
  },
);
