import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Cron, ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import { Test, type TestingModule } from '@nestjs/testing';
import { MemoryStorage, SessionModule, SessionStore } from '../../src/index.js';
import type { SessionModuleOptions } from '../../src/index.js';
import { settle } from '../support/gate.js';
import { FAULT } from '../support/storages.js';
import { type Bag, kinds, logger, logs, secretOf, storageOf } from '../support/session-bench.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

const running: TestingModule[] = [];

beforeEach(() => {
  // Also the timers: a minute of the purge's schedule is no minute of ours.
  jest.useFakeTimers({
    now: new Date('2026-01-01T12:00:30.000Z'),
    doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate', 'clearImmediate', 'hrtime', 'performance'],
  });
});

afterEach(async () => {
  for (const module of running.splice(0)) await module.close();
  jest.useRealTimers();
  logs.length = 0;
});

async function start(imports: any[], providers: any[] = []) {
  const module = await Test.createTestingModule({ imports, providers }).setLogger(logger).compile();
  running.push(module);
  await module.init();
  return { module, store: module.get<SessionStore<Bag>>(SessionStore) };
}

/** Lets so much time pass, and all that is due in it happen, a purge ending before the next is due. */
async function pass(milliseconds: number): Promise<void> {
  for (let left = milliseconds; left > 0; left -= 10 * SECOND) {
    await jest.advanceTimersByTimeAsync(Math.min(left, 10 * SECOND));
    await settle(20);
  }
}

const expiring = async (store: SessionStore<Bag>, count: number) => {
  for (let i = 0; i < count; i++) await store.create({ ttl: '1s' });
};

describe.each(kinds)('the purge: %s', (kind) => {
  async function startWith(options: SessionModuleOptions = {}, ...imports: any[]) {
    const watched = storageOf(kind);
    const started = await start([
      SessionModule.forRoot({ storage: watched.storage, ...options }),
      ...imports,
    ]);
    return { ...started, ...watched, purges: () => watched.probe.of('purgeExpired').length };
  }

  it('forRoot() alone removes expired sessions every minute, and no others', async () => {
    const { store } = await startWith();
    await expiring(store, 3);
    const { id } = await store.create();
    await pass(20 * SECOND);
    expect(await store.count()).toBe(4);
    await pass(MINUTE);
    expect(await store.count()).toBe(1);
    expect(await store.load(id)).toBeDefined();
    await expiring(store, 2);
    await pass(MINUTE);
    expect(await store.count()).toBe(1);
  });

  it('it runs once a minute', async () => {
    const { purges } = await startWith();
    await pass(10 * MINUTE);
    expect(purges()).toBe(10);
  });

  it('before the application is initialised nothing runs', async () => {
    const { storage, probe } = storageOf(kind);
    const module = await Test.createTestingModule({
      imports: [SessionModule.forRoot({ storage })],
    }).compile();
    running.push(module);
    await pass(5 * MINUTE);
    expect(probe.of('purgeExpired')).toEqual([]);
  });

  it('purge: false never purges, and purging by hand works', async () => {
    const { store, module, purges } = await startWith({ purge: false }, ScheduleModule.forRoot());
    await expiring(store, 2);
    await pass(10 * MINUTE);
    expect(await store.count()).toBe(2);
    expect(purges()).toBe(0);
    expect(module.get(SchedulerRegistry, { strict: false }).getCronJobs().size).toBe(0);
    expect(await store.purgeExpired()).toBe(2);
  });

  it.each([
    ['*/10 * * * * *', 60],
    ['*/5 * * * *', 2],
    ['@hourly', 0],
  ])('a cron of its own: %s runs %i times in ten minutes', async (cron, times) => {
    const { purges } = await startWith({ purge: { cron } });
    await pass(10 * MINUTE);
    expect(purges()).toBe(times);
  });

  it('it works in batches until nothing is left', async () => {
    const { store, probe } = await startWith({ purge: { batch: 2 } });
    await expiring(store, 5);
    await pass(MINUTE);
    expect(probe.of('purgeExpired').map(({ args }) => args)).toEqual([[2], [2], [2]]);
    expect(await store.count()).toBe(0);
  });

  it('a batch is 1,000 by default', async () => {
    const { probe } = await startWith();
    await pass(MINUTE);
    expect(probe.of('purgeExpired').map(({ args }) => args)).toEqual([[1_000]]);
  });

  it('it never overlaps itself', async () => {
    const { store, probe, purges } = await startWith();
    await expiring(store, 1);
    const gate = probe.hold('purgeExpired');
    await pass(3 * MINUTE);
    expect(purges()).toBe(1);
    gate.open();
    await settle();
    expect(await store.count()).toBe(0);
    await pass(MINUTE);
    expect(purges()).toBe(2);
  });

  it('one that fails is in the log, without an id, and the next one runs (S50)', async () => {
    const { store, probe } = await startWith();
    const { id } = await store.create({ ttl: '1s' });
    probe.fail('purgeExpired', { times: 1 });
    await pass(MINUTE);
    expect(await store.count()).toBe(1);
    const told = logs.filter((line) => line.includes(FAULT));
    expect(told.length).toBeGreaterThan(0);
    expect(logs.join('\n')).not.toContain(secretOf(id));
    await pass(MINUTE);
    expect(await store.count()).toBe(0);
    expect(logs.filter((line) => line.includes(FAULT))).toEqual(told);
  });

  it('shut-down waits for the one that runs, and no further batch begins', async () => {
    const { module, store, probe, purges } = await startWith({ purge: { batch: 1 } });
    await expiring(store, 3);
    const gate = probe.hold('purgeExpired');
    await pass(MINUTE);
    let closed = false;
    const closing = module.close().then(() => (closed = true));
    await settle();
    expect(closed).toBe(false);
    gate.open();
    await closing;
    expect(purges()).toBe(1);
    expect(probe.size).toBe(2);
    await pass(10 * MINUTE);
    expect(purges()).toBe(1);
  });

  it('the storage is closed after the purge has ended, not before', async () => {
    const order: string[] = [];
    class Watched extends MemoryStorage {
      override close() {
        order.push('closed');
      }
    }
    const { storage, probe } = storageOf(kind, new Watched());
    if (storage.close !== Watched.prototype.close) {
      Object.defineProperty(storage, 'close', { value: () => void order.push('closed') });
    }
    const { module } = await start([SessionModule.forRoot({ storage })]);
    const gate = probe.hold('purgeExpired');
    await pass(MINUTE);
    const closing = module.close();
    await settle();
    order.push('purged');
    gate.open();
    await closing;
    expect(order).toEqual(['purged', 'closed']);
  });

  it('after close nothing runs any more, and no timer is left', async () => {
    const { module, purges } = await startWith();
    await pass(MINUTE);
    await module.close();
    const before = purges();
    expect(jest.getTimerCount()).toBe(0);
    await pass(10 * MINUTE);
    expect(purges()).toBe(before);
  });
});

describe('the purge and the schedule of the application', () => {
  @Injectable()
  class Reports {
    ticks = 0;

    @Cron('* * * * *', { name: 'reports' })
    report() {
      this.ticks++;
    }
  }

  const sessions = () => SessionModule.forRoot();
  const schedule = () => ScheduleModule.forRoot();

  it.each<[title: string, imports: () => any[]]>([
    ['ScheduleModule after SessionModule', () => [sessions(), schedule()]],
    ['ScheduleModule before SessionModule', () => [schedule(), sessions()]],
    [
      'ScheduleModule after SessionModule.forRootAsync',
      () => [SessionModule.forRootAsync({ useFactory: () => Promise.resolve({}) }), schedule()],
    ],
    ['SessionModule that is not global', () => [SessionModule.forRoot({ isGlobal: false }), schedule()]],
  ])('%s: the job is in the registry, and a @Cron fires exactly once a tick', async (_title, imports) => {
    const { module, store } = await start(imports(), [Reports]);
    const registry = module.get(SchedulerRegistry, { strict: false });
    expect([...registry.getCronJobs().keys()].toSorted()).toEqual(['reports', 'session.purge']);
    const job = registry.getCronJob('session.purge');
    expect(job.nextDate().toMillis()).toBe(Date.parse('2026-01-01T12:01:00.000Z'));
    await expiring(store, 2);
    await pass(3 * MINUTE);
    expect(module.get(Reports).ticks).toBe(3);
    expect(await store.count()).toBe(0);
  });

  it('the job can be stopped and started like any', async () => {
    const { module, store } = await start([sessions(), schedule()]);
    const job = module.get(SchedulerRegistry, { strict: false }).getCronJob('session.purge');
    await job.stop();
    await expiring(store, 1);
    await pass(5 * MINUTE);
    expect(await store.count()).toBe(1);
    job.start();
    await pass(MINUTE);
    expect(await store.count()).toBe(0);
  });

  it('the cron option is what the job in the registry goes by', async () => {
    const { module } = await start([SessionModule.forRoot({ purge: { cron: '15 10 * * *' } }), schedule()]);
    const job = module.get(SchedulerRegistry, { strict: false }).getCronJob('session.purge');
    expect(job.nextDate().toFormat('HH:mm:ss')).toBe('10:15:00');
  });

  it("after close the application's registry has the job no more, and no timer is left", async () => {
    const { module } = await start([sessions(), schedule()], [Reports]);
    const registry = module.get(SchedulerRegistry, { strict: false });
    await module.close();
    expect(registry.doesExist('cron', 'session.purge')).toBe(false);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('without ScheduleModule a @Cron of the application does not begin to fire', async () => {
    const { module } = await start([sessions()], [Reports]);
    await pass(3 * MINUTE);
    expect(module.get(Reports).ticks).toBe(0);
  });

  it('two applications purge each their own', async () => {
    const [one, two] = [await start([sessions(), schedule()]), await start([sessions(), schedule()])];
    await expiring(one.store, 1);
    await expiring(two.store, 2);
    await one.module.close();
    await pass(MINUTE);
    expect(await one.store.count()).toBe(1);
    expect(await two.store.count()).toBe(0);
  });
});
