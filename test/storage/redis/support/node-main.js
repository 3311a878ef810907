/** A node of its own: a process with the library and a Redis client, which does what its parent tells it. */
import 'reflect-metadata';
import { pathToFileURL } from 'node:url';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import { createClient } from 'redis';

const { directory, port, prefix, client: kind } = JSON.parse(process.argv[2]);
const load = (file) => import(pathToFileURL(`${directory}/${file}`).href);
const { SessionModule, SessionStore } = await load('index.js');
const { RedisStorage } = await load('storage/redis/index.js');

const client =
  kind === 'node-redis'
    ? createClient({ url: `redis://127.0.0.1:${port}` })
    : new Redis({ port, host: '127.0.0.1' });

/** One application for each set of options: starting another process takes a second. */
const apps = new Map();
async function storeWith(options) {
  const key = JSON.stringify(options);
  if (!apps.has(key)) {
    const storage = new RedisStorage(client, { prefix });
    class NodeModule {}
    Module({ imports: [SessionModule.forRoot({ storage, purge: false, ...options })] })(NodeModule);
    apps.set(key, await NestFactory.createApplicationContext(NodeModule, { logger: false }));
  }
  return apps.get(key).get(SessionStore);
}

let store;
const told = new Map();

const orders = {
  /** How long this node waits for a lock and holds it from now on, as the module's option takes it. */
  async configure(lock) {
    store = await storeWith({ lock: { wait: '30s', hold: '30s', ...lock } });
    return {};
  },
  /** Counts up, `times` times, one tap after another, or so many at a time. */
  async increment({ id, times, atOnce = 1 }) {
    let ran = 0;
    let left = times;
    const worker = async () => {
      while (left-- > 0) {
        await store.tap(id, async (data) => {
          ran++;
          const n = data.n ?? 0;
          await new Promise((resolve) => setImmediate(resolve));
          data.n = n + 1;
        });
      }
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
    return { ran };
  },
  /** Goes into a tap and stays there until told to leave. */
  async hold({ id, by }) {
    return store.tap(id, async (data) => {
      process.send({ inside: true });
      await new Promise((resolve) => told.set('leave', resolve));
      data.by = by;
      return { done: true };
    });
  },
  /** Logs a user in on these sessions, all at once; gives the ids that they have then. */
  async login({ ids, userId, options }) {
    const its = await storeWith(options);
    const sessions = await Promise.all(ids.map((id) => its.load(id)));
    await Promise.all(sessions.map((session) => session.login(userId)));
    return sessions.map(({ id }) => id);
  },
  async tap({ id, by }) {
    return store.tap(id, (data) => {
      data.by = by;
      return { done: true };
    });
  },
};

process.on('message', async ({ order, ...args }) => {
  if (order === 'leave') return told.get('leave')();
  if (order === 'stop') {
    for (const app of apps.values()) await app.close();
    if (kind === 'ioredis') client.disconnect();
    else if (client.isOpen) client.destroy();
    return process.disconnect();
  }
  try {
    process.send({ answer: await orders[order](args) });
  } catch (error) {
    process.send({ error: { name: error.name, code: error.code, message: error.message } });
  }
});
process.send({ ready: true });
