/** A node of its own: a process with a storage on a driver of its own, which does what its parent tells it. */
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const { directory, driver, url, options } = JSON.parse(process.argv[2]);
const { SqlStorage } = await import(pathToFileURL(`${directory}/storage/sql/index.js`).href);
const require = createRequire(import.meta.url);

const storage = new SqlStorage(open(), options);
await storage.open();
const told = new Map();
const lock = { wait: 30_000, hold: 30_000 };

function open() {
  if (driver === 'pg') {
    const { Pool } = require('pg');
    return new Pool({ connectionString: url, max: 4 }).on('error', () => undefined);
  }
  if (driver === 'mysql2') return require('mysql2').createPool({ uri: url, connectionLimit: 4 });
  const Database = driver === 'node:sqlite' ? require('node:sqlite').DatabaseSync : require(driver);
  const database = new Database(url);
  database.exec('PRAGMA busy_timeout = 20');
  return database;
}

/** The store of an application with these options. */
async function storeWith(moduleOptions) {
  await import('reflect-metadata');
  const { Module } = await import('@nestjs/common');
  const { NestFactory } = await import('@nestjs/core');
  const { SessionModule, SessionStore } = await import(pathToFileURL(`${directory}/index.js`).href);
  class NodeModule {}
  Module({ imports: [SessionModule.forRoot({ storage, purge: false, ...moduleOptions })] })(NodeModule);
  const app = await NestFactory.createApplicationContext(NodeModule, { logger: false });
  return app.get(SessionStore);
}

const orders = {
  call({ method, args }) {
    return storage[method](...args);
  },
  /** Counts up, `times` times, each alone; so many at a time. */
  async increment({ handle, times, atOnce = 1 }) {
    let ran = 0;
    let left = times;
    const worker = async () => {
      while (left-- > 0) {
        const lease = await storage.lock(handle, lock);
        const n = Number((await storage.read(handle)).data.n);
        await new Promise((resolve) => setImmediate(resolve));
        const change = { set: { n: String(n + 1) }, lease: lease.token };
        const answer = await storage.update(handle, change);
        if (answer !== 'ok') throw new Error(answer);
        ran++;
        await lease.release();
      }
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
    return { ran };
  },
  /** Has the lease and keeps it until told to leave, and then writes under it. */
  async hold({ handle, hold, by }) {
    const lease = await storage.lock(handle, { ...lock, hold });
    process.send({ inside: true });
    await new Promise((resolve) => told.set('leave', resolve));
    return storage.update(handle, { set: { by }, lease: lease.token });
  },
  /** Sets keys of its own, one after another. */
  async write({ handle, prefix, times }) {
    const answers = new Set();
    for (let i = 0; i < times; i++) answers.add(await storage.update(handle, { set: { [prefix + i]: '1' } }));
    return [...answers];
  },
  /** Sets a key of its own in many sessions at once, again and again. */
  async burst({ handles, prefix, times }) {
    const answers = new Set();
    for (let i = 0; i < times; i++) {
      const updates = handles.map((handle) => storage.update(handle, { set: { [prefix + i]: '1' } }));
      for (const answer of await Promise.all(updates)) answers.add(answer);
    }
    return [...answers];
  },
  /** Touches sessions in turn, until told to leave. */
  async touch({ handles }) {
    let touches = 0;
    let longest = 0;
    const run = { on: true };
    told.set('leave', () => (run.on = false));
    process.send({ inside: true });
    for (let i = 0; run.on; i++) {
      const started = performance.now();
      const now = Date.now();
      await storage.update(handles[i % handles.length], { touchedAt: now, expiresAt: now + 3_600_000 });
      longest = Math.max(longest, performance.now() - started);
      touches++;
      if (i % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    return { touches, longest };
  },
  /** Logs a user in on these sessions, all at once; gives the ids that they have then. */
  async login({ ids, userId, options: limits }) {
    const its = await storeWith(limits);
    const sessions = await Promise.all(ids.map((id) => its.load(id)));
    await Promise.all(sessions.map((session) => session.login(userId)));
    return sessions.map(({ id }) => id);
  },
  /** Purges until nothing is left. */
  async purge({ limit }) {
    let count = 0;
    for (;;) {
      const removed = await storage.purgeExpired(limit);
      count += removed;
      if (removed === 0) return count;
    }
  },
};

process.on('message', async ({ order, ...args }) => {
  if (order === 'leave') return told.get('leave')();
  if (order === 'stop') process.exit();
  try {
    process.send({ answer: (await orders[order](args)) ?? null });
  } catch (error) {
    process.send({ error: { name: error.name, code: error.code, message: error.message } });
  }
});
process.send({ ready: true });
