/** What is measured on Redis without HTTP: memory per session, and taps that contend. */
import { randomBytes } from 'node:crypto';
import { NestFactory } from '@nestjs/core';
import { REDIS_PREFIX, REDIS_URL } from './redis.js';
import { shopper } from './shopper.js';

const SESSIONS = 500;
const TAPPERS = 4;
const TAPS = 250;

async function openNode() {
  const { SessionModule, SessionStore } = await import('nest-sessions');
  const { RedisStorage } = await import('nest-sessions/redis');
  const storage = await RedisStorage.connect(REDIS_URL, { prefix: REDIS_PREFIX });
  const module = SessionModule.forRoot({ ttl: '1h', storage, purge: false });
  const app = await NestFactory.createApplicationContext(module, { logger: ['error'] });
  return { store: app.get(SessionStore), close: () => app.close() };
}

async function keysOf(client) {
  const keys = [];
  for await (const some of client.scanStream({ match: `${REDIS_PREFIX}*`, count: 1000 })) keys.push(...some);
  return keys;
}

/** Bytes that Redis keeps for the average session, whatever keys a library makes for it. */
async function bytesPerSession(client, fill) {
  for (const key of await keysOf(client)) await client.del(key);
  for (let i = 0; i < SESSIONS; i++) await fill(i);
  let bytes = 0;
  for (const key of await keysOf(client)) bytes += await client.memory('USAGE', key, 'SAMPLES', 0);
  return bytes / SESSIONS;
}

export async function memory(client) {
  const node = await openNode();
  const ours = await bytesPerSession(client, (i) => node.store.create({ data: shopper(i) }));
  await node.close();

  const { RedisStore } = await import('connect-redis');
  const { createClient } = await import('redis');
  const { default: session } = await import('express-session');
  const theirs = await createClient({ url: REDIS_URL }).connect();
  const store = new RedisStore({ client: theirs, prefix: REDIS_PREFIX });
  const peer = await bytesPerSession(client, (i) => {
    const cookie = new session.Cookie({ maxAge: 3_600_000, sameSite: 'lax' });
    return store.set(randomBytes(24).toString('base64url'), { cookie, ...shopper(i) });
  });
  await theirs.close();
  return { ours, peer };
}

/** Milliseconds per tap on one session: one node alone, one tap after another, and several nodes at once. */
export async function taps() {
  const nodes = await Promise.all(Array.from({ length: TAPPERS }, openNode));
  const { id } = await nodes[0].store.create({ data: { n: 0 } });
  const increment = (data) => void data.n++;
  const timed = async (count, work) => {
    const start = performance.now();
    await work();
    return (performance.now() - start) / count;
  };
  const alone = await timed(TAPS, async () => {
    for (let i = 0; i < TAPS; i++) await nodes[0].store.tap(id, increment);
  });
  const contended = await timed(TAPPERS * TAPS, () =>
    Promise.all(
      nodes.map(async ({ store }) => {
        for (let i = 0; i < TAPS; i++) await store.tap(id, increment);
      }),
    ),
  );
  const { n } = (await nodes[0].store.load(id)).toJSON();
  if (n !== TAPS * (TAPPERS + 1)) throw new Error(`${n} increments of ${TAPS * (TAPPERS + 1)} were kept`);
  await nodes[0].store.destroy(id);
  await Promise.all(nodes.map(({ close }) => close()));
  return { alone, contended, nodes: TAPPERS };
}
