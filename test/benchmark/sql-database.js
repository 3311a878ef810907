/** The databases as the rows find them: a schema for the run, and what PostgreSQL itself does meanwhile. */
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { postgresPool, POSTGRES_URL, SCHEMA } from './sql.js';

export const ROUTES = [
  ['write', 'read and write'],
  ['read', 'read only'],
];

/** Runs `work(pool)` with a schema that goes afterwards; with `BENCH_KEEP` it stays for the next run. */
export async function withSchema(what, work) {
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
export function watchDatabase(pool, requests) {
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

export function listens(url) {
  const { protocol, hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(Number(port || (protocol === 'mysql:' ? 3306 : 5432)), hostname);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
