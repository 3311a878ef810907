/** What is measured on PostgreSQL and SQLite. */
import { createHash } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { NestFactory } from '@nestjs/core';
import { measureCells } from './http.js';
import { postgresPool, POSTGRES_URL, SCHEMA, SQLITE_FILE } from './sql.js';

const cellsOf = (variants, routes) =>
  routes.flatMap((route) => variants.map((variant) => ({ name: `${variant} ${route}`, variant, route })));

const ROUTES = [
  ['write', 'read and write'],
  ['read', 'read only'],
];

/** @param report makes rows: `added(what, results, { bare, ours, peer, route, target })`, `quotient(what, ours, peer, target, show)` */
export async function sqlite(quick, { added }) {
  forgetFile();
  const settings = quick
    ? { generations: 1, rounds: 5, requests: 1500, warmUp: 4000 }
    : { generations: 2, rounds: 8, requests: 2000, warmUp: 8000 };
  const [bare, peer, ours] = ['express', 'express+ours', 'express+ours-sqlite'];
  try {
    const results = await measureCells(cellsOf([bare, peer, ours], ['write', 'read']), settings);
    return ROUTES.map(([route, what]) =>
      added(`SQLite (better-sqlite3) on Express, ${what}, added to bare ÷ memory`, results, {
        bare,
        ours,
        peer,
        route,
      }),
    );
  } finally {
    forgetFile();
  }
}

function forgetFile() {
  for (const suffix of ['', '-wal', '-shm']) rmSync(SQLITE_FILE + suffix, { force: true });
}

/** Runs `work(pool)` with a schema that goes afterwards; with `BENCH_KEEP` it stays for the next run. */
async function withSchema(what, work) {
  if (!(await listens(POSTGRES_URL))) {
    return [{ what, skipped: `nothing listens at ${new URL(POSTGRES_URL).host}` }];
  }
  const pool = await postgresPool();
  const drop = () => pool.query(`DROP SCHEMA IF EXISTS ${SCHEMA} CASCADE`);
  if (!process.env.BENCH_KEEP) await drop();
  await pool.query(`CREATE SCHEMA IF NOT EXISTS ${SCHEMA}`);
  try {
    return await work(pool);
  } finally {
    if (!process.env.BENCH_KEEP) await drop();
    await pool.end();
  }
}

/**
 * Notes the CPU that PostgreSQL itself takes for each request, in microseconds: that of the backends of the pool
 * that has the variant's name. Empty where the server is not on this machine.
 */
function watchDatabase(pool, requests) {
  const perRequest = {};
  const cpuOf = async (application) => {
    const { rows } = await pool.query('SELECT pid FROM pg_stat_activity WHERE application_name = $1', [
      application,
    ]);
    return rows.reduce((sum, { pid }) => sum + backendCpu(pid), 0);
  };
  const observe = async (name, measure) => {
    const [variant] = name.split(' ');
    const before = await cpuOf(variant);
    const result = await measure();
    const used = (await cpuOf(variant)) - before;
    // The measured requests and the tenth of them that came before.
    if (used > 0) (perRequest[name] ??= []).push(used / (requests * 1.1));
    return result;
  };
  return { perRequest, observe };
}

/** Microseconds of CPU that a process has had so far, as Linux counts them. */
function backendCpu(pid) {
  try {
    if (readFileSync(`/proc/${pid}/comm`, 'utf8').trim() !== 'postgres') return 0;
    return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1000;
  } catch {
    return 0;
  }
}

export const postgres = (quick, report) =>
  withSchema('PostgreSQL', async (pool) => [
    ...(await besidePeer(quick, pool, report)),
    ...(await statements(report)),
  ]);

async function besidePeer(quick, pool, { added, quotient }) {
  const settings = quick
    ? { generations: 1, rounds: 4, requests: 1500, warmUp: 2500 }
    : { generations: 2, rounds: 6, requests: 2000, warmUp: 5000 };
  const [bare, ours, peer] = ['express', 'express+ours-pg', 'express+connect-pg-simple'];
  const { observe, perRequest } = watchDatabase(pool, settings.requests);
  const cells = cellsOf([bare, ours, peer], ['write', 'read']);
  const alone = cells.map((cell) => ({ ...cell, name: `${cell.name} alone`, connections: 1, requests: 500 }));
  const results = await measureCells([...cells, ...alone], { ...settings, observe });
  return ROUTES.flatMap(([route, what]) => {
    const row = (title, cell, target) => added(title, results, { bare, ours, peer, route: cell, target });
    const [left, right] = [ours, peer].map((variant) => perRequest[`${variant} ${route}`]);
    return [
      row(`PostgreSQL on Express, ${what}, added to bare ÷ express-session + connect-pg-simple`, route, 0.5),
      row(`  the same, one request at a time`, `${route} alone`),
      ...(left && right ? [quotient(`  CPU of PostgreSQL, ${what}`, left, right)] : []),
    ];
  });
}

/** Statements that a request sends, counted at the driver, in this process. */
async function statements({ quotient }) {
  const { Client } = await import('pg');
  const { variants } = await import('./apps.js');
  let sent = 0;
  const { query } = Client.prototype;
  Client.prototype.query = function counted(...args) {
    sent++;
    return query.apply(this, args);
  };
  const perRequest = async (variant) => {
    const app = await variants[variant]();
    await app.listen(0, '127.0.0.1');
    const url = `http://127.0.0.1:${app.getHttpServer().address().port}`;
    const [cookie] = (await fetch(`${url}/write`)).headers.getSetCookie()[0].split(';');
    const counts = {};
    for (const [route] of ROUTES) {
      sent = 0;
      for (let i = 0; i < 20; i++) await (await fetch(`${url}/${route}`, { headers: { cookie } })).text();
      counts[route] = sent / 20;
    }
    await app.close();
    return counts;
  };
  try {
    const ours = await perRequest('express+ours-pg');
    const peer = await perRequest('express+connect-pg-simple');
    return ROUTES.map(([route, what]) =>
      quotient(`  statements per request, ${what}`, [ours[route]], [peer[route]], undefined, (n) =>
        n.toFixed(2),
      ),
    );
  } finally {
    Client.prototype.query = query;
  }
}

/** Bytes of table and indexes for each of 20,000 sessions that nobody has touched. */
export const bytes = (report) => withSchema('PostgreSQL, bytes', (pool) => sizes(pool, report));

async function sizes(pool, { quotient }) {
  const { shopper } = await import('./shopper.js');
  const { SqlStorage } = await import('nest-sessions/sql');
  const { SessionModule, SessionStore } = await import('nest-sessions');
  const storage = new SqlStorage(pool, { schema: SCHEMA, table: 'sizes' });
  const module = SessionModule.forRoot({ ttl: '1h', storage, purge: false });
  const app = await NestFactory.createApplicationContext(module, { logger: ['error'] });
  const store = app.get(SessionStore);
  const count = 20_000;
  for (let i = 0; i < count; i += 100) {
    await Promise.all(Array.from({ length: 100 }, (_, j) => store.create({ data: shopper(i + j) })));
  }
  const { default: session } = await import('express-session');
  const cookie = JSON.stringify(new session.Cookie({ maxAge: 3_600_000, sameSite: 'lax' }));
  await pool.query(
    `CREATE TABLE ${SCHEMA}.peer (sid varchar PRIMARY KEY, sess json NOT NULL, expire timestamp(6) NOT NULL)`,
  );
  await pool.query(`CREATE INDEX ON ${SCHEMA}.peer (expire)`);
  await pool.query(
    `INSERT INTO ${SCHEMA}.peer SELECT left(md5(i::text) || md5((i + 1)::text), 32), $1::json, now() + i * interval '1 ms'
     FROM generate_series(1, $2::int) AS i`,
    [JSON.stringify({ cookie: JSON.parse(cookie), ...shopper(1) }), count],
  );
  const bytesOf = async (table) =>
    Number((await pool.query(`SELECT pg_total_relation_size('${SCHEMA}.${table}') AS n`)).rows[0].n) / count;
  const row = quotient(
    '  bytes on disk per session of five keys, indexes included ÷ connect-pg-simple',
    [await bytesOf('sizes')],
    [await bytesOf('peer')],
    undefined,
    (n) => `${n.toFixed(0)} B`,
  );
  await app.close();
  return [row];
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

/** Cookies of sessions that lie spread among so many; for each of the routes others. */
const cookiesAmong = (count, sample, route) =>
  Array.from({ length: sample }, (_, at) => {
    const i = 1 + Math.floor(((at + (route === 'read' ? 0.5 : 0)) * count) / sample);
    return `sid=${handleOf(i, LIVE)}.${secretOf(i)}`;
  });

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
    ['fastify+ours-pg-few', 1000, 500],
    ['fastify+ours-pg-many', count, 20_000],
  ].flatMap(([variant, rows, sample]) =>
    ROUTES.map(([route]) => ({
      name: `${variant} ${route}`,
      variant,
      route,
      sessions: { name: route, cookies: () => cookiesAmong(rows, sample, route) },
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

function listens(url) {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(Number(port || 5432), hostname);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
