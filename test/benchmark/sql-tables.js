/** What is measured of the tables: bytes, many rows, and a purge among them. */
import { createHash } from 'node:crypto';
import { NestFactory } from '@nestjs/core';
import { measureCells } from './http.js';
import { shopper } from './shopper.js';
import { MYSQL_URL, postgresPool, SCHEMA } from './sql.js';
import { listens, ROUTES, watchDatabase, withSchema } from './sql-database.js';

const SESSIONS = 20_000;

/** Bytes of tables and indexes for each of 20,000 sessions of five keys that nobody has touched. */
export async function bytes({ quotient }) {
  const rows = await withSchema('PostgreSQL, bytes', async (pool) => {
    await withSessions(pool, { schema: SCHEMA, table: 'sizes' });
    await fillPeer(pool);
    const [ours, peer] = await Promise.all(
      ['sizes', 'peer'].map(async (table) => {
        const size = await pool.query(`SELECT pg_total_relation_size('${SCHEMA}.${table}') AS n`);
        return Number(size.rows[0].n) / SESSIONS;
      }),
    );
    const show = (n) => `${n.toFixed(0)} B`;
    return [
      quotient(
        '  bytes in PostgreSQL per session of five keys ÷ connect-pg-simple',
        [ours],
        [peer],
        undefined,
        show,
      ),
    ];
  });
  return [...rows, await bytesInMariadb(), await bytesInSqlite()];
}

/** Fills a storage as an application would. */
async function withSessions(database, options) {
  const { SqlStorage } = await import('nest-sessions/sql');
  const { SessionModule, SessionStore } = await import('nest-sessions');
  const storage = new SqlStorage(database, { commandTimeout: 60_000, ...options });
  const module = SessionModule.forRoot({ ttl: '1h', storage, purge: false });
  const app = await NestFactory.createApplicationContext(module, { logger: ['error'] });
  const store = app.get(SessionStore);
  for (let i = 0; i < SESSIONS; i += 100) {
    await Promise.all(Array.from({ length: 100 }, (_, j) => store.create({ data: shopper(i + j) })));
  }
  await app.close();
}

async function fillPeer(pool) {
  const { default: session } = await import('express-session');
  const cookie = JSON.stringify(new session.Cookie({ maxAge: 3_600_000, sameSite: 'lax' }));
  await pool.query(
    `CREATE TABLE ${SCHEMA}.peer (sid varchar PRIMARY KEY, sess json NOT NULL, expire timestamp(6) NOT NULL)`,
  );
  await pool.query(`CREATE INDEX ON ${SCHEMA}.peer (expire)`);
  await pool.query(
    `INSERT INTO ${SCHEMA}.peer SELECT left(md5(i::text) || md5((i + 1)::text), 32), $1::json, now() + i * interval '1 ms'
     FROM generate_series(1, $2::int) AS i`,
    [JSON.stringify({ cookie: JSON.parse(cookie), ...shopper(1) }), SESSIONS],
  );
}

async function bytesInMariadb() {
  const what = '  bytes in MariaDB per session of five keys';
  if (!(await listens(MYSQL_URL))) return { what, skipped: `nothing listens at ${new URL(MYSQL_URL).host}` };
  const { createPool } = await import('mysql2/promise');
  const pool = createPool(MYSQL_URL);
  const drop = () => pool.query('DROP TABLE IF EXISTS nest_sessions_bench, nest_sessions_bench_leases');
  try {
    await drop();
    await withSessions(pool, { table: SCHEMA });
    await pool.query(`ANALYZE TABLE ${SCHEMA}`);
    const [[{ n }]] = await pool.query(
      'SELECT data_length + index_length AS n FROM information_schema.tables WHERE table_name = ? AND table_schema = DATABASE()',
      [SCHEMA],
    );
    return { what, ours: `${(Number(n) / SESSIONS).toFixed(0)} B` };
  } finally {
    await drop();
    await pool.end();
  }
}

async function bytesInSqlite() {
  const { default: Database } = await import('better-sqlite3');
  const database = new Database(':memory:');
  await withSessions(database, {});
  const bytesUsed =
    database.pragma('page_count', { simple: true }) * database.pragma('page_size', { simple: true });
  database.close();
  return {
    what: '  bytes in SQLite per session of five keys',
    ours: `${(bytesUsed / SESSIONS).toFixed(0)} B`,
  };
}

const handleOf = (i, salt) => createHash('md5').update(`${i}${salt}`).digest('base64url');
const secretOf = (i) => `secret-of-the-benchmark-${i}`;

/** As the storage writes them: handles at random, deadlines one after another. */
async function fill(pool, table, count, expiresAt, salt) {
  await pool.query(
    `INSERT INTO ${SCHEMA}.${table} (handle, proof, created_at, touched_at, expires_at, data, purge_after)
     SELECT translate(encode(decode(md5(i::text || $1), 'hex'), 'base64'), '+/=', '-_'),
       translate(encode(sha256(('${secretOf('')}' || i::text)::bytea), 'base64'), '+/=', '-_'),
       $2, $2, $3::bigint + i, '{"visits":"1","cart":"[{\\"sku\\":\\"tea\\",\\"qty\\":2}]"}', $3::bigint + i
     FROM generate_series(1, $4::int) AS i`,
    [salt, Date.now(), expiresAt, count],
  );
}

const LIVE = 'live';

/** A table of so many live sessions; one that is there from a run before will do. */
async function filled(pool, table, count) {
  const { SqlStorage } = await import('nest-sessions/sql');
  await new SqlStorage(pool, { schema: SCHEMA, table }).open();
  const { rows } = await pool.query(`SELECT count(*)::int AS n FROM ${SCHEMA}.${table}`);
  if (rows[0].n !== count) {
    await pool.query(`TRUNCATE ${SCHEMA}.${table}`);
    await fill(pool, table, count, Date.now() + 10 * 86_400_000, LIVE);
  }
  await pool.query(
    `UPDATE ${SCHEMA}.${table} SET data = data || '{"visits":"1"}' WHERE data->>'visits' <> '1'`,
  );
  await pool.query(`VACUUM ANALYZE ${SCHEMA}.${table}`);
  // Else what was written here is written to the disk while requests are measured.
  await pool.query('CHECKPOINT');
}

const MANY = { quick: 200_000, full: 1_000_000 };
const manyOf = (quick) => (quick && !process.env.BENCH_KEEP ? MANY.quick : MANY.full);

/** Cookies of sessions that lie spread among so many; others for each route, and for each of two generations. */
function cookiesAmong(count, sample, route, generation) {
  const offset = (route === 'read' ? 0.25 : 0) + generation / 2;
  return Array.from({ length: sample }, (_, at) => {
    const i = 1 + Math.floor(((at + offset) * count) / sample);
    return `sid=${handleOf(i, LIVE)}.${secretOf(i)}`;
  });
}

export const million = (quick, report) =>
  withSchema('PostgreSQL, many rows', (pool) => compareSizes(quick, pool, report));

async function compareSizes(quick, pool, { quotient }) {
  const count = manyOf(quick);
  await filled(pool, 'many', count);
  await filled(pool, 'few', 1000);
  const settings = quick
    ? { generations: 1, rounds: 6, requests: 1500, warmUp: 2000 }
    : { generations: 2, rounds: 10, requests: 2500, warmUp: 6000 };
  const { observe, perRequest } = watchDatabase(pool, settings.requests);
  const cells = [
    ['fastify+ours-pg-few', 1000, 250],
    ['fastify+ours-pg-many', count, 20_000],
  ].flatMap(([variant, rows, sample]) =>
    ROUTES.map(([route]) => ({
      name: `${variant} ${route}`,
      variant,
      route,
      sessions: { name: route, cookies: (generation) => cookiesAmong(rows, sample, route, generation) },
    })),
  );
  const results = await measureCells(cells, { ...settings, observe });
  return ROUTES.flatMap(([route, what]) => {
    const [few, many] = ['few', 'many'].map((table) => {
      const name = `fastify+ours-pg-${table} ${route}`;
      return { server: results[name], database: perRequest[name] };
    });
    const title = `PostgreSQL on Fastify, ${what}: with ${count.toLocaleString('en')} rows ÷ with 1,000`;
    if (!few.database || !many.database) return [quotient(title, many.server, few.server, 1.15)];
    const whole = ({ server, database }) => server.map((cpu, round) => cpu + database[round]);
    return [
      quotient(`${title}, CPU of server and database`, whole(many), whole(few), 1.15),
      quotient(`  of the database alone`, many.database, few.database),
    ];
  });
}

/** Milliseconds that a request of a session takes at most, with a purge beside it and without. */
export const purge = (quick) => withSchema('PostgreSQL, purge', (pool) => purging(quick, pool));

async function purging(quick, pool) {
  const live = manyOf(quick);
  const expired = live / 10;
  await filled(pool, 'many', live);
  const { SqlStorage } = await import('nest-sessions/sql');
  const [serving, purger] = await Promise.all(
    [await postgresPool(), await postgresPool({ max: 2 })].map(async (each) => {
      const storage = new SqlStorage(each, { schema: SCHEMA, table: 'many' });
      return { storage, close: () => each.end() };
    }),
  );
  const { rows } = await pool.query(`SELECT handle FROM ${SCHEMA}.many LIMIT 1000`);
  const handles = rows.map(({ handle }) => handle);
  const longestDuring = async (work) => {
    const state = { over: false };
    let longest = 0;
    const worker = async (i) => {
      for (let at = i; !state.over; at += 8) {
        const handle = handles[at % handles.length];
        const started = performance.now();
        await serving.storage.read(handle);
        await serving.storage.update(handle, { set: { visits: String(at) }, touchedAt: Date.now() });
        longest = Math.max(longest, performance.now() - started);
      }
    };
    const workers = Array.from({ length: 8 }, (_, i) => worker(i));
    await work();
    state.over = true;
    await Promise.all(workers);
    return longest;
  };
  const longest = [];
  const idle = [];
  for (let round = 0; round < 3; round++) {
    await fill(pool, 'many', expired, Date.now() - 86_400_000 * (round + 1), `expired${round}`);
    await pool.query('CHECKPOINT');
    idle.push(await longestDuring(() => new Promise((resolve) => setTimeout(resolve, 3_000))));
    longest.push(
      await longestDuring(async () => {
        let removed = 0;
        for (let batch; (batch = await purger.storage.purgeExpired(1_000)) > 0;) removed += batch;
        if (removed !== expired) throw new Error(`${removed} of ${expired} were purged`);
      }),
    );
  }
  await Promise.all([serving.close(), purger.close()]);
  const number = (value) => value.toLocaleString('en');
  // Other work of the machine only ever makes a request wait for longer.
  const [ours, peer] = [Math.min(...longest), Math.min(...idle)];
  return [
    {
      what: `PostgreSQL, purge of ${number(expired)} among ${number(live)}: longest request meanwhile (ms)`,
      ours: `${ours.toFixed(1)} ms`,
      peer: `${peer.toFixed(1)} ms idle`,
      ratio: ours,
      target: 50,
    },
  ];
}
