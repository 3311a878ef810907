/** The databases that the SQL rows use. What they write is in a schema, and in a file, that go with the run. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const POSTGRES_URL = process.env.BENCH_POSTGRES_URL ?? 'postgres://postgres@127.0.0.1:5432/test';
export const MYSQL_URL = process.env.BENCH_MYSQL_URL ?? 'mysql://root@127.0.0.1:3306/test';
export const SCHEMA = 'nest_sessions_bench';
export const SQLITE_FILE = join(tmpdir(), 'nest-sessions-bench.db');

/**
 * For everybody the same: as many connections, which stay between the turns of a server, and commits that do not wait
 * for the disk. What a disk takes that others write to as well, half a second and more, is no cost of sessions.
 */
const POOL = {
  connectionString: POSTGRES_URL,
  max: 10,
  idleTimeoutMillis: 0,
  allowExitOnIdle: true,
  options: '-c synchronous_commit=off',
};

/** Peers wait for as long as it takes. */
const PATIENT = { commandTimeout: 60_000 };

export async function postgresPool(options) {
  const { Pool } = await import('pg');
  return new Pool({ ...POOL, ...options });
}

/**
 * Variants for `apps.js`.
 *
 * @param withOurs makes an application on a platform with a storage
 * @param withExpressSession makes one with a store of express-session
 */
export const sqlVariants = (withOurs, withExpressSession) => {
  const onPostgres = async (platform, table, name) => {
    const { SqlStorage } = await import('nest-sessions/sql');
    const pool = await postgresPool({ application_name: name });
    return withOurs(platform, new SqlStorage(pool, { schema: SCHEMA, table, ...PATIENT }));
  };
  return {
    'express+ours-pg': () => onPostgres('express', 'sessions', 'express+ours-pg'),
    'fastify+ours-pg-few': () => onPostgres('fastify', 'few', 'fastify+ours-pg-few'),
    'fastify+ours-pg-many': () => onPostgres('fastify', 'many', 'fastify+ours-pg-many'),
    'express+ours-sqlite': async () => {
      const { SqlStorage } = await import('nest-sessions/sql');
      return withOurs('express', await SqlStorage.connect(`sqlite:${SQLITE_FILE}`));
    },
    'express+connect-pg-simple': () =>
      withExpressSession(async (session) => {
        const { default: connectPgSimple } = await import('connect-pg-simple');
        const Store = connectPgSimple(session);
        return new Store({
          pool: await postgresPool({ application_name: 'express+connect-pg-simple' }),
          schemaName: SCHEMA,
          createTableIfMissing: true,
          pruneSessionInterval: false,
        });
      }),
  };
};
