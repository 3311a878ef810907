import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { SessionModule, SessionStore } from '../../../src/index.js';
import { SqlStorage } from '../../../src/storage/sql/index.js';
import { buildSources } from '../../support/build.js';
import { describeEachDriver, dropTable, newTable, type Opened, plainDrivers } from './support/databases.js';
import { NodeProcess } from './support/node-process.js';
import { times } from './support/records.js';

let built: ReturnType<typeof buildSources>;
beforeAll(() => {
  built = buildSources();
});
afterAll(() => built.remove());

/** Logins of one user on several processes, with the plain driver of each database. */
describeEachDriver((kind, place) => {
  let opened: Opened;
  let table: string;
  let module: TestingModule;
  let store: SessionStore;
  let nodes: NodeProcess[] = [];

  beforeEach(async () => {
    opened = await kind.open(place());
    table = newTable();
    const options = { table, commandTimeout: 30_000 };
    const storage = new SqlStorage(opened.database, options);
    module = await Test.createTestingModule({
      imports: [SessionModule.forRoot({ storage, purge: false })],
    }).compile();
    store = (await module.init()).get(SessionStore);
    const { url } = place();
    const node = { directory: built.directory, driver: kind.name, url, options };
    nodes = await Promise.all(times(3, () => NodeProcess.start(node)));
  }, 60_000);
  afterEach(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await module.close();
    await dropTable(opened, table);
    await opened.close();
  });

  const login = (node: NodeProcess, ids: string[], userId: string, options: object): Promise<string[]> =>
    node.do('login', { ids, userId, options: { ...options, lock: { wait: '60s', hold: '60s' } } });

  it('leave exactly as many as there may be, each of which lives (S66)', async () => {
    const order = async (node: NodeProcess) => {
      const sessions = await Promise.all(times(10, () => store.create()));
      return login(
        node,
        sessions.map(({ id }) => id),
        'ada',
        { maxPerUser: 3 },
      );
    };
    const ids = (await Promise.all(nodes.map(order))).flat();
    const live = await Promise.all(ids.map((id) => store.load(id)));
    const handles = live.filter((session) => session?.userId === 'ada').map((session) => session!.handle);
    expect(handles).toHaveLength(3);
    expect((await store.listByUser('ada')).map(({ handle }) => handle).toSorted()).toEqual(
      handles.toSorted(),
    );
    expect(await opened.query(`SELECT * FROM ${table}_leases`)).toEqual([]);
  }, 60_000);
}, plainDrivers);
