/** What is measured without HTTP, in a process of its own: memory per session, purging, taps. */
import { randomBytes } from 'node:crypto';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { NestFactory } from '@nestjs/core';
import { cpu, serve } from './orders.js';
import { shopper } from './shopper.js';

async function openOurs({ now, ...options } = {}) {
  const { MemoryStorage, SessionModule, SessionStore } = await import('nest-sessions');
  const storage = new MemoryStorage({ maxSessions: 2_000_000, now });
  const module = SessionModule.forRoot({ ttl: '1h', storage, ...options });
  const app = await NestFactory.createApplicationContext(module, { logger: ['error'] });
  return app.get(SessionStore);
}

/** How each library is filled, through its public API, with what its own middleware would store. */
const fillers = {
  ours: async () => {
    const store = await openOurs();
    return [(i) => store.create({ data: shopper(i) }), () => store.count()];
  },
  'express-session': async () => {
    const { default: session } = await import('express-session');
    const store = new session.MemoryStore();
    const cookie = { maxAge: 3_600_000, sameSite: 'lax' };
    return [
      // The id that express-session generates, and the cookie that it keeps in every session.
      (i) =>
        store.set(randomBytes(24).toString('base64url'), {
          cookie: new session.Cookie(cookie),
          ...shopper(i),
        }),
      () => Object.keys(store.sessions).length,
    ];
  },
};

function memory() {
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Calls `work` and answers with its result, its CPU and the longest time that the event loop stood still. */
async function watched(work) {
  let longest = 0;
  let last = performance.now();
  let over = false;
  const watch = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    if (!over) setImmediate(watch);
  };
  setImmediate(watch);
  await turn();
  longest = 0;
  const before = cpu();
  const result = await work();
  await turn();
  over = true;
  return { result, cpu: cpu() - before, longest };
}

const orders = {
  /** Bytes per session. */
  bytes: async ({ kind, count }) => {
    const [add, size] = await fillers[kind]();
    for (let i = 0; i < 1000; i++) await add(i);
    const before = memory();
    for (let i = 0; i < count; i++) {
      await add(i);
      if (i % 10_000 === 0) await turn();
    }
    const after = memory();
    if ((await size()) !== count + 1000) throw new Error(`${kind} holds ${await size()} sessions`);
    return (after - before) / count;
  },

  /**
   * Purges `expired` sessions that lie spread among `live` ones, three times. Other work of the machine
   * only ever makes the loop stand still for longer, so the shortest of the three delays counts.
   */
  purge: async ({ live, expired }) => {
    let hours = 0;
    const store = await openOurs({ purge: false, now: () => Date.now() + hours * 3_600_000 });
    const every = Math.floor(live / expired) + 1;
    for (let i = 0; i < live + expired; i++) {
      await store.create({ data: { visits: i }, ttl: i % every === 0 ? '1h' : '10d' });
    }
    const purges = [];
    const idle = [];
    for (let round = 0; round < 3; round++) {
      if (round > 0) {
        for (let i = 0; i < expired; i++) await store.create({ data: { visits: i }, ttl: `${hours + 1}h` });
      }
      hours += 2;
      globalThis.gc();
      idle.push(await watched(() => sleep(500)));
      const purge = await watched(() => store.purgeExpired());
      const left = await store.count();
      if (purge.result !== expired || left !== live) {
        throw new Error(`purged ${purge.result} of ${expired}, ${left} of ${live} are left`);
      }
      purges.push(purge);
    }
    const longest = (runs) => Math.min(...runs.map((run) => run.longest));
    return { cpu: purges.map((purge) => purge.cpu), longest: longest(purges), idleLongest: longest(idle) };
  },

  /** Microseconds of CPU per tap of one session: one after another, and `atOnce` under way at any time. */
  tap: async ({ count, atOnce, rounds }) => {
    const store = await openOurs();
    const session = await store.create({ data: { taps: 0 } });
    const run = async (width) => {
      let left = count;
      const worker = async () => {
        while (left-- > 0) await store.tap(session.id, (data) => void data.taps++);
      };
      const before = cpu();
      await Promise.all(Array.from({ length: width }, worker));
      return (cpu() - before) / count;
    };
    await run(1);
    await run(atOnce);
    const alone = [];
    const contended = [];
    for (let round = 0; round < rounds; round++) {
      alone.push(await run(1));
      contended.push(await run(atOnce));
    }
    const { taps } = (await store.load(session.id)).toJSON();
    if (taps !== count * (2 + 2 * rounds))
      throw new Error(`${taps} taps were counted, of ${count * (2 + 2 * rounds)}`);
    return { alone, contended };
  },

  /** Microseconds of CPU per value that is written once and read once, in sessions of five. */
  values: async ({ encrypted, count }) => {
    const store = await openOurs(encrypted ? { encryption: { keys: [randomBytes(32)] } } : {});
    const live = async (i) => {
      const { id } = await store.create({ data: shopper(i) });
      if ((await store.load(id)).toJSON().visits !== i % 100) throw new Error('A session is not what it was');
    };
    for (let i = 0; i < count; i++) await live(i);
    const before = cpu();
    for (let i = 0; i < count; i++) await live(i);
    return (cpu() - before) / count / 5;
  },
};

serve(orders);
