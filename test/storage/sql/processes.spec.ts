import { execFileSync } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { SqlStorage } from '../../../src/storage/sql/index.js';
import { buildSources } from '../../support/build.js';
import { describeEachDriver, dropTable, newTable, type Opened, plainDrivers } from './support/databases.js';
import { NodeProcess } from './support/node-process.js';
import { HOUR, newProof, newRecord, times } from './support/records.js';
import { sleep } from './support/server.js';

let built: ReturnType<typeof buildSources>;
beforeAll(() => {
  built = buildSources();
});
afterAll(() => built.remove());

it('loads no driver that nobody uses', () => {
  const main = `
    import { createRequire } from 'node:module';
    await import(${JSON.stringify(pathToFileURL(`${built.directory}/storage/sql/index.js`).href)});
    console.log(Object.keys(createRequire('/').cache).join());`;
  const args = ['--input-type=module', '-e', main];
  const loaded = String(execFileSync(process.execPath, args));
  expect(loaded).toContain('node_modules/ms/');
  expect(loaded).not.toMatch(/node_modules\/(?:pg|mysql2|better-sqlite3|libsql|kysely|typeorm)\//);
});

/** Guarantees between processes, with the plain driver of each database. */
describeEachDriver((kind, place) => {
  let opened: Opened;
  let table: string;
  let storage: SqlStorage;
  let nodes: NodeProcess[] = [];

  const start = (count: number, env?: Record<string, string>) =>
    Promise.all(
      times(count, () =>
        NodeProcess.start({
          directory: built.directory,
          driver: kind.name,
          url: place().url,
          options: { table, commandTimeout: 30_000 },
          env,
        }),
      ),
    );

  beforeEach(async () => {
    opened = await kind.open(place());
    table = newTable();
    storage = new SqlStorage(opened.database, { table, commandTimeout: 30_000 });
  });
  afterEach(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    nodes = [];
    await dropTable(opened, table);
    await opened.close();
  });

  it('makes its tables once, when ten processes start at once', async () => {
    nodes = await start(10);
    const record = newRecord();
    expect(await nodes[0].call('create', record)).toBe(true);
    const found = await Promise.all(nodes.map((node) => node.call('read', record.handle)));
    expect(found).toEqual(nodes.map(() => record));
  }, 60_000);

  it('loses no update of four processes that write at once', async () => {
    await storage.open();
    const { handle } = newRecord();
    await storage.create(newRecord({ handle, data: {} }));
    nodes = await start(4);
    const answers = await Promise.all(
      nodes.map((node, i) => node.do('write', { handle, prefix: `p${i}-`, times: 50 })),
    );
    expect(answers).toEqual(times(4, () => ['ok']));
    expect(Object.keys((await storage.read(handle))!.data).length).toBe(200);
  }, 60_000);

  it('loses no update of four processes that each write to many sessions at once', async () => {
    await storage.open();
    const records = times(20, () => newRecord({ data: {} }));
    for (const record of records) await storage.create(record);
    const handles = records.map(({ handle }) => handle);
    nodes = await start(4);
    const answers = await Promise.all(
      nodes.map((node, i) => {
        // Each in an order of its own.
        const own = i % 2 === 0 ? handles : handles.toReversed();
        return node.do('burst', { handles: own, prefix: `p${i}-`, times: 15 });
      }),
    );
    expect(answers).toEqual(times(4, () => ['ok']));
    for (const handle of handles) expect(Object.keys((await storage.read(handle))!.data).length).toBe(4 * 15);
  }, 60_000);

  it('runs every tap of four processes exactly once (S54)', async () => {
    await storage.open();
    const { handle } = newRecord();
    await storage.create(newRecord({ handle, data: { n: '0' } }));
    nodes = await start(4);
    const ran = await Promise.all(
      nodes.map((node) => node.do('increment', { handle, times: 250, atOnce: 10 })),
    );
    expect(ran).toEqual(times(4, () => ({ ran: 250 })));
    expect((await storage.read(handle))!.data['n']).toBe('1000');
    expect(await opened.query(`SELECT * FROM ${table}_leases`)).toEqual([]);
  }, 120_000);

  it('keeps a logged-out session dead, whatever a slow process saves (S27)', async () => {
    await storage.open();
    nodes = await start(2);
    for (let round = 0; round < 10; round++) {
      const { handle, proof } = newRecord();
      await storage.create(newRecord({ handle, proof, userId: 'ada' }));
      nodes.forEach((node, i) => node.tell('write', { handle, prefix: `p${i}-`, times: 20 }));
      await sleep(2);
      expect(await storage.destroy(handle)).toBe(true);
      for (const node of nodes) expect(['gone', 'ok']).toEqual(expect.arrayContaining(await node.outcome()));
      expect(await nodes[0].call('update', handle, { expiresAt: Date.now() + HOUR })).toBe('gone');
      expect(await opened.query(`SELECT handle FROM ${table}`)).toEqual([]);
    }
  }, 60_000);

  it('rotates once, when four processes do at once (S14)', async () => {
    await storage.open();
    nodes = await start(4);
    for (let round = 0; round < 10; round++) {
      const { handle, proof } = newRecord();
      await storage.create(newRecord({ handle, proof }));
      const proofs = nodes.map(() => newProof());
      const answers = await Promise.all(
        nodes.map((node, i) =>
          node.call('update', handle, { proof: proofs[i], set: { by: String(i) }, expected: { proof } }),
        ),
      );
      expect(answers.toSorted()).toEqual(['conflict', 'conflict', 'conflict', 'ok']);
      const winner = answers.indexOf('ok');
      expect(await storage.read(handle)).toMatchObject({
        proof: proofs[winner],
        data: { by: String(winner) },
      });
    }
  }, 60_000);

  it('takes the lease from a holder that was killed, when its time is over (S54)', async () => {
    await storage.open();
    const { handle } = newRecord();
    await storage.create(newRecord({ handle }));
    nodes = await start(1);
    const hold = 1_000;
    const started = Date.now();
    nodes[0].tell('hold', { handle, hold, by: '"killed"' });
    await nodes[0].hear('inside');
    nodes[0].signal('SIGKILL');
    const lease = await storage.lock(handle, { wait: 10_000, hold });
    expect(Date.now() - started).toBeGreaterThanOrEqual(hold);
    expect(await storage.update(handle, { set: { by: '"next"' }, lease: lease.token })).toBe('ok');
    await lease.release();
  }, 60_000);

  it('lets a holder that stood still past its time write nothing any more (S27, S54)', async () => {
    await storage.open();
    const { handle } = newRecord();
    await storage.create(newRecord({ handle }));
    nodes = await start(1);
    nodes[0].tell('hold', { handle, hold: 500, by: '"frozen"' });
    await nodes[0].hear('inside');
    nodes[0].signal('SIGSTOP');
    const lease = await storage.lock(handle, { wait: 10_000, hold: 30_000 });
    expect(await storage.update(handle, { set: { by: '"next"' }, lease: lease.token })).toBe('ok');
    nodes[0].signal('SIGCONT');
    nodes[0].tell('leave');
    expect(await nodes[0].outcome()).toBe('lost');
    expect((await storage.read(handle))!.data['by']).toBe('"next"');
    await lease.release();
  }, 60_000);

  it('goes by no zone of a process, a connection or the database, nor by summer time (S25)', async () => {
    await storage.open();
    const zones = ['Pacific/Kiritimati', 'America/St_Johns', 'Europe/London', 'UTC'];
    nodes = (await Promise.all(zones.map((TZ) => start(1, { TZ, PGTZ: zones[0] })))).flat();
    const now = Date.now();
    // Of the hour that a clock in London shows twice, and of the one that it leaves out.
    const moments = [
      Date.UTC(2026, 9, 25, 0, 30),
      Date.UTC(2026, 9, 25, 1, 30),
      Date.UTC(2027, 2, 28, 1, 30),
    ];
    const records = [
      newRecord({ expiresAt: now + 60_000, authenticatedAt: moments[0] }),
      newRecord({ expiresAt: now - 1, authenticatedAt: moments[1] }),
      newRecord({ expiresAt: now + HOUR, authenticatedAt: moments[2] }),
    ];
    for (const [i, record] of records.entries()) expect(await nodes[i].call('create', record)).toBe(true);
    for (const node of nodes) {
      const found = [];
      for (const { handle } of records) found.push(await node.call('read', handle));
      expect(found).toEqual([records[0], null, records[2]]);
    }
    const purged = [];
    for (const node of nodes) purged.push(await node.call('purgeExpired', 10));
    expect(purged).toEqual([1, 0, 0, 0]);
  }, 60_000);

  it('purges in four processes at once, beside touches, each record once and without a deadlock', async () => {
    await storage.open();
    nodes = await start(5);
    const [toucher, ...purgers] = nodes;
    const now = Date.now();
    const live = times(200, () => newRecord({ expiresAt: now + HOUR }));
    // Due for the purge, and then touched: it has to find out that they live.
    const revived = times(200, () => newRecord({ expiresAt: now + 300 }));
    const dead = times(3_000, (i) => newRecord({ expiresAt: now - 1_000 + (i % 500) }));
    for (const record of [...live, ...revived, ...dead]) await storage.create(record);
    const expiresAt = Date.now() + HOUR;
    // Some are too late for it by now, and are purged as well.
    let late = 0;
    for (const { handle } of revived) if ((await storage.update(handle, { expiresAt })) === 'gone') late++;
    toucher.tell('touch', { handles: [...live, ...revived].map(({ handle }) => handle) });
    await toucher.hear('inside');
    const counts = await Promise.all(purgers.map((node) => node.do('purge', { limit: 100 })));
    await sleep(Math.max(0, now + 300 - Date.now()));
    counts.push(await purgers[0].do('purge', { limit: 100 }));
    toucher.tell('leave');
    expect((await toucher.outcome()).touches).toBeGreaterThan(0);
    expect(counts.every((count) => typeof count === 'number')).toBe(true);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(3_000 + late);
    expect(await storage.count()).toBe(400 - late);
  }, 120_000);
}, plainDrivers);
