/** The databases that the SQL rows use. What they write is in a schema, and in a file, that go with the run. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const POSTGRES_URL = process.env.BENCH_POSTGRES_URL ?? 'postgres://postgres@127.0.0.1:5432/test';
export const SCHEMA = 'nest_sessions_bench';
export const SQLITE_FILE = join(tmpdir(), 'nest-sessions-bench.db');

/** As many connections for everybody. */
const POOL = { connectionString: POSTGRES_URL, max: 10 };

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
  const onPostgres = async (platform, table) => {
    const { SqlStorage } = await import('nest-sessions/sql');
    return withOurs(platform, new SqlStorage(await postgresPool(), { schema: SCHEMA, table }));
  };
  return {
    'express+ours-pg': () => onPostgres('express', 'sessions'),
    'fastify+ours-pg': () => onPostgres('fastify', 'sessions'),
    'fastify+ours-pg-many': () => onPostgres('fastify', 'many'),
    'express+ours-sqlite': async () => {
      const { SqlStorage } = await import('nest-sessions/sql');
      return withOurs('express', await SqlStorage.connect(`sqlite:${SQLITE_FILE}`));
    },
    'express+connect-pg-simple': () =>
      withExpressSession(async (session) => {
        const { default: connectPgSimple } = await import('connect-pg-simple');
        const Store = connectPgSimple(session);
        return new Store({
          pool: await postgresPool(),
          schemaName: SCHEMA,
          createTableIfMissing: true,
          pruneSessionInterval: false,
        });
      }),
  };
};
