import { expect, it } from '@jest/globals';
import { SqlStorage } from '../../../src/storage/sql/index.js';
import { liveSecretly, SECRETS } from '../../support/secret-life.js';
import { describeEachDriver, dropTable, newTable, plainDrivers } from './support/databases.js';

describeEachDriver((kind, place) => {
  it('encryption: nothing of what sessions hold is readable in any column', async () => {
    const opened = await kind.open(place());
    const table = newTable();
    const { read, expected, store, stop } = await liveSecretly(new SqlStorage(opened.database, { table }));
    const rows = await opened.query(`SELECT * FROM ${table}`);
    // What is stored as bytes counts as the text that they are.
    const all = JSON.stringify(rows, (_key, value: unknown) =>
      (value as { type?: string } | null)?.type === 'Buffer'
        ? Buffer.from((value as { data: number[] }).data).toString()
        : value,
    );
    expect(all).toContain('~1.');
    expect(SECRETS.filter((word) => all.includes(word))).toEqual([]);
    expect(await read()).toEqual(expected);
    const [info] = await store.listByUser('ada');
    expect(info).toMatchObject({ userId: 'ada', data: { name: SECRETS[0] } });
    await stop();
    await dropTable(opened, table);
    await opened.close();
  });
}, plainDrivers);
