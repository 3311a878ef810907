import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { NestFactory } from '@nestjs/core';
import { sql } from 'drizzle-orm';
import { SqlStorage } from 'nest-sessions/sql';
import { Pool } from 'pg';
import { DataSource } from 'typeorm';
import { SessionStore } from '../../src/index.js';
import { describeWithDatabase } from '../storage/sql/support/databases.js';
import { newRecord } from '../storage/sql/support/records.js';

/** What docs/sql.md shows beside an application's own queries, in a schema that goes with the test. */
describeWithDatabase('PostgreSQL', 'the page on SQL', (place) => {
  const schema = 'nest_sessions_page';
  let admin: Pool;
  let before: string | undefined;

  beforeEach(async () => {
    before = process.env['DATABASE_URL'];
    admin = new Pool({ connectionString: place().url });
    await admin.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`);
    await admin.query(`CREATE SCHEMA ${schema}`);
    const url = new URL(place().url);
    url.searchParams.set('options', `-c search_path=${schema}`);
    process.env['DATABASE_URL'] = url.href;
  });
  afterEach(async () => {
    if (before === undefined) delete process.env['DATABASE_URL'];
    else process.env['DATABASE_URL'] = before;
    await admin.query(`DROP SCHEMA ${schema} CASCADE`);
    await admin.end();
  });

  /** The storage works, and is in the database that the application's own queries see. */
  async function share(storage: SqlStorage, count: () => Promise<number>): Promise<void> {
    await storage.open();
    const record = newRecord();
    await storage.create(record);
    expect(await storage.read(record.handle)).toEqual(record);
    expect(await count()).toBe(1);
  }

  it('has sessions on the DataSource of TypeOrmModule', async () => {
    const { AppModule } = await import('./recipes/sql/typeorm.module.js');
    const app = await NestFactory.createApplicationContext(AppModule, { logger: false, abortOnError: false });
    const session = await app.get<SessionStore<any>>(SessionStore).create({ data: { a: 1 }, userId: 'ada' });
    const rows = await app.get(DataSource).query('SELECT handle, user_id FROM sessions');
    expect(rows).toEqual([{ handle: session.handle, user_id: 'ada' }]);
    await app.close();
  });

  it('has tables from a migration of TypeORM, which take the sessions along with a user', async () => {
    const { Sessions1700000000000: Migration } = await import('./recipes/sql/typeorm-migration.js');
    const id = '0e37df36-f698-11e6-8dd4-cb9ced3df976';
    const dataSource = new DataSource({
      type: 'postgres',
      url: process.env['DATABASE_URL']!,
      schema,
      migrations: [Migration],
    });
    await dataSource.initialize();
    await dataSource.query('CREATE TABLE users (id uuid PRIMARY KEY)');
    await dataSource.query(`INSERT INTO users VALUES ('${id}')`);
    await dataSource.runMigrations();
    const storage = new SqlStorage(dataSource, { createTable: false, userId: 'uuid' });
    await storage.open();
    await storage.create(newRecord({ userId: id }));
    expect((await storage.byUser(id)).length).toBe(1);
    await dataSource.query('DELETE FROM users');
    expect(await storage.count()).toBe(0);
    await dataSource.undoLastMigration();
    expect(await dataSource.query(`SELECT to_regclass('sessions') AS it`)).toEqual([{ it: null }]);
    await dataSource.destroy();
  });

  it('shares the pool with Drizzle', async () => {
    const { db, storage } = await import('./recipes/sql/drizzle.js');
    await share(storage, async () => {
      const { rows } = await db.execute(sql`SELECT count(*)::int AS n FROM sessions`);
      return Number(rows[0]!['n']);
    });
    await db.$client.end();
  });

  it('shares the pool with Knex, in transactions too', async () => {
    const { db, storage } = await import('./recipes/sql/knex.js');
    await share(storage, async () => Number((await db('sessions').count('*'))[0]!['count']));
    await db.transaction(
      async (transaction) => {
        await transaction('sessions').update({ ttl: 1 });
        await transaction.rollback();
      },
      { doNotRejectOnRollback: true } as object,
    );
    expect(await db('sessions').whereNotNull('ttl')).toEqual([]);
    await db.destroy();
  });

  it('shares the pool with the driver adapter of Prisma', async () => {
    const { adapter, storage } = await import('./recipes/sql/prisma.js');
    const connected = await adapter.connect();
    await share(storage, async () => {
      const query = { sql: 'SELECT count(*)::int AS n FROM sessions', args: [], argTypes: [] };
      return Number((await connected.queryRaw(query)).rows[0]![0]);
    });
    await connected.underlyingDriver().end();
  });
});
