import { afterAll, beforeAll } from '@jest/globals';
import { SqlStorage } from '../../../../src/storage/sql/index.js';
import type { SessionStorage } from '../../../../src/storage/session-storage.js';
import { describeSessionStorage } from '../../../../src/testing/storage-contract.js';
import {
  describeEachDriver,
  driverKinds,
  dropTable,
  newTable,
  type Opened,
  type Product,
} from './databases.js';

/** A thousand calls at once wait for ten connections, on a machine that has other things to do. */
const commandTimeout = 30_000;

/** The contract, with every driver of a product. */
export function describeContract(product: Product): void {
  describeEachDriver(
    (kind, place) => {
      const table = newTable();
      const clocks = new WeakMap<SessionStorage, () => number>();
      let opened: Opened[];

      beforeAll(async () => {
        opened = [await kind.open(place()), await kind.open(place())];
      });
      afterAll(async () => {
        await dropTable(opened[0], table);
        await Promise.all(opened.map((each) => each.close()));
      });

      describeSessionStorage(
        `SqlStorage, ${kind.name}`,
        ({ now }) => {
          const storage = new SqlStorage(opened[0].database, { table, now, commandTimeout });
          clocks.set(storage, now);
          return storage;
        },
        {
          // Another node: a pool, or a connection to the file, of its own.
          second: (storage) =>
            new SqlStorage(opened[1].database, { table, now: clocks.get(storage), commandTimeout }),
          cleanup: async () => {
            await opened[0].query(`DELETE FROM ${table}`);
            await opened[0].query(`DELETE FROM ${table}_leases`);
          },
        },
      );
    },
    driverKinds.filter((kind) => kind.product === product),
  );
}
