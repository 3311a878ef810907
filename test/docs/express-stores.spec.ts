import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { NestFactory } from '@nestjs/core';
import { SessionStore } from 'nest-sessions';
import { Pool } from 'pg';
import { describeWithDatabase } from '../storage/sql/support/databases.js';

/** What docs/express-stores.md shows, in a schema that goes with the test. */
describeWithDatabase('PostgreSQL', "the page on express-session's stores", (place) => {
  const schema = 'nest_sessions_stores_page';
  let admin: Pool;
  let before: string | undefined;

  beforeEach(async () => {
    before = process.env['DATABASE_URL'];
    admin = new Pool({ connectionString: place().url });
    await admin.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`);
    await admin.query(`CREATE SCHEMA ${schema}`);
    const columns = 'sid varchar primary key, sess json not null, expire timestamp(6) not null';
    await admin.query(`CREATE TABLE ${schema}.session (${columns})`);
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

  it('has sessions in the table of connect-pg-simple, and the secret of none', async () => {
    const { AppModule, pool } = await import('./recipes/connect/pg.module.js');
    const app = await NestFactory.createApplicationContext(AppModule, { logger: false, abortOnError: false });
    const store = app.get<SessionStore<any>>(SessionStore);
    const session = await store.create({ data: { a: 1 }, userId: 'ada' });
    expect((await store.load(session.id))?.toJSON()).toEqual({ a: 1 });
    const { rows } = await admin.query(`SELECT sid, sess FROM ${schema}.session`);
    expect(rows).toEqual([
      { sid: session.handle, sess: { cookie: expect.any(Object), record: expect.any(String) } },
    ]);
    expect(JSON.stringify(rows)).not.toContain(session.id.slice(23));
    await expect(store.listByUser('ada')).rejects.toThrow(/ConnectStorage has no byUser\(\)/);
    await app.close();
    await pool.end();
  });
});
