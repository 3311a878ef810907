import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { SqlStorage } from '../../../src/storage/sql/index.js';
import { type Platform, platforms, type RunningApp } from '../../support/app.js';
import { forgetGates, gate } from '../../support/gate.js';
import { startNode } from '../redis/support/app.js';
import { type Counted, counted, whyNotCounted } from './support/counted.js';
import {
  describeEachDriver,
  describeWithDatabase,
  dropTable,
  newTable,
  type Opened,
  plainDrivers,
} from './support/databases.js';

/** Applications on these storages: what a request costs, and what two nodes owe each other. */
for (const { product, missing } of plainDrivers) {
  describeWithDatabase(
    product,
    `requests on ${product}`,
    (place) => {
      let database: Counted;
      let app: RunningApp;
      let table: string;

      const begin = async (platform: Platform, session = {}) => {
        database = await counted[product](place().url);
        table = newTable();
        app = await startNode(new SqlStorage(database.database, { table }), platform, session);
      };
      afterEach(async () => {
        await app.stop();
        await database.query(`DROP TABLE ${table}`);
        await database.query(`DROP TABLE ${table}_leases`);
        await database.close();
      });

      it.each(platforms)(
        'take one statement to read, two to write, three more for a tap, none without a session (%s)',
        async (platform) => {
          await begin(platform);
          const browser = app.client();
          const cost = async (path: string) => {
            database.sent.length = 0;
            expect((await browser.get(path)).status).toBe(200);
            return database.sent.length;
          };
          expect(await cost('/plain')).toBe(0);
          expect(await cost('/read')).toBe(0);
          expect(await cost('/set/n/1')).toBe(1);
          expect(await cost('/login/ada')).toBe(2);
          expect(await cost('/read')).toBe(1);
          expect(await cost('/set/n/2')).toBe(2);
          // The value that it has already: nothing to write.
          expect(await cost('/set/n/2')).toBe(1);
          expect(await cost('/plain')).toBe(0);
          expect(await cost('/count')).toBeLessThanOrEqual(5);
          expect(await cost('/logout')).toBe(2);
        },
      );

      it('take one more to read when the use has to be written down', async () => {
        await begin('fastify', { touchAfter: 0 });
        const browser = app.client();
        await browser.get('/set/n/1');
        database.sent.length = 0;
        await browser.get('/read');
        expect(database.sent.length).toBe(2);
        database.sent.length = 0;
        await browser.get('/set/n/2');
        expect(database.sent.length).toBe(2);
      });
    },
    missing ?? whyNotCounted(product),
  );
}

describeEachDriver((kind, place) => {
  let opened: Opened[];
  let nodes: RunningApp[];
  let table: string;

  beforeEach(async () => {
    opened = [await kind.open(place()), await kind.open(place())];
    table = newTable();
    nodes = await Promise.all(
      opened.map(({ database }, i) => startNode(new SqlStorage(database, { table }), platforms[i])),
    );
  });
  afterEach(async () => {
    forgetGates();
    await Promise.all(nodes.map((node) => node.stop()));
    await dropTable(opened[0], table);
    await Promise.all(opened.map((each) => each.close()));
  });

  /** One browser, that talks to both nodes. */
  function browsers() {
    const [one, other] = nodes.map((node) => node.client());
    Object.defineProperty(other, 'jar', { value: one.jar });
    return [one, other];
  }

  it('a change of all sessions of a user from outside takes its turn with taps elsewhere (S54)', async () => {
    const browser = browsers();
    await browser[1].get('/login/ada');
    const add = (data: any) => void (data.n = Number(data.n ?? 0) + 1);
    const { handle } = browser[1];
    const changes = Array.from({ length: 5 }, () => nodes[0].store.tapByUser('ada', add));
    const taps = Array.from({ length: 10 }, () => browser[1].get('/count'));
    const byHandle = Array.from({ length: 5 }, () => nodes[0].store.tapByHandle(handle, add));
    expect(await Promise.all(changes)).toEqual([1, 1, 1, 1, 1]);
    await Promise.all([...taps, ...byHandle]);
    const { sessions } = await nodes[0].store.list();
    expect(sessions).toMatchObject([{ handle, userId: 'ada', data: { n: 20 } }]);
  });

  it('two nodes keep what both write at once, and count every tap', async () => {
    const browser = browsers();
    await browser[0].get('/set/n/0');
    const writes = ['a', 'b'].map((name, i) => browser[i].get(`/slow/write?gate=${name}`));
    await Promise.all([gate('a').reached(), gate('b').reached()]);
    gate('a').open();
    gate('b').open();
    expect((await Promise.all(writes)).map(({ status }) => status)).toEqual([200, 200]);
    const taps = Array.from({ length: 20 }, (_, i) => browser[i % 2].get('/count'));
    const counts = (await Promise.all(taps)).map(({ text }) => Number(text));
    expect(counts.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    expect((await browser[0].get('/all')).json().data).toEqual({ n: 20, a: 'yes', b: 'yes' });
  });

  it('logged out on one stays logged out while the other saves (S27)', async () => {
    const browser = browsers();
    await browser[0].get('/login/ada');
    const { sid } = browser[0];
    const saving = browser[1].get('/slow/write?gate=save');
    await gate('save').reached();
    await browser[0].get('/logout');
    gate('save').open();
    expect((await saving).setCookies).toEqual([]);
    expect((await browser[1].get('/read', { cookie: `sid=${sid}` })).json()).toMatchObject({ isNew: true });
    expect(await opened[0].query(`SELECT handle FROM ${table}`)).toEqual([]);
  });

  it('a database that fails is an opaque 503, and the session is as it was afterwards (S51)', async () => {
    const [browser] = browsers();
    await browser.get('/set/n/1');
    await opened[0].query(`ALTER TABLE ${table} RENAME TO ${table}_away`);
    const failed = await browser.get('/set/n/2');
    expect([failed.status, failed.text]).toEqual([503, expect.not.stringContaining(table)]);
    expect(failed.setCookies).toEqual([]);
    await opened[0].query(`ALTER TABLE ${table}_away RENAME TO ${table}`);
    expect((await browser.get('/read')).json()).toEqual({ isNew: false, value: '1' });
  });
}, plainDrivers);
