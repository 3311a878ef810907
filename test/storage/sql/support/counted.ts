import { createRequire } from 'node:module';
import mysql from 'mysql2';
import { Client, Pool } from 'pg';
import type { SqlDatabase } from '../../../../src/storage/sql/index.js';
import { plainDrivers, type Product } from './databases.js';

const require = createRequire(import.meta.url);

/** A database whose statements are listed as they are sent, on one connection. */
export interface Counted {
  readonly database: SqlDatabase;
  readonly sent: string[];
  /** Statements that were prepared on its connection, by how many. */
  prepared(): Promise<number>;
  query(sql: string): Promise<any>;
  close(): Promise<unknown>;
}

export const counted: Record<Product, (url: string) => Promise<Counted>> = {
  async PostgreSQL(url) {
    const sent: string[] = [];
    class CountingClient extends Client {
      override query(...args: any[]): any {
        sent.push(args[0].text ?? args[0]);
        return (super.query as any)(...args);
      }
    }
    const pool = new Pool({ connectionString: url, max: 1, Client: CountingClient } as object);
    const query = async (sql: string) => (await pool.query(sql)).rows;
    const prepared = async () =>
      Number((await query('SELECT count(*) AS n FROM pg_prepared_statements'))[0].n);
    return { database: pool, sent, query, prepared, close: () => pool.end() };
  },
  async MariaDB(url) {
    const sent: string[] = [];
    const pool = mysql.createPool({ uri: url, connectionLimit: 1 });
    pool.on('connection', (connection: any) => {
      for (const method of ['query', 'execute']) {
        const original = connection[method].bind(connection);
        connection[method] = (options: any, ...rest: any[]) => {
          sent.push(options.sql ?? options);
          return original(options, ...rest);
        };
      }
    });
    const query = async (sql: string) => (await pool.promise().query(sql))[0] as any[];
    const prepared = async () =>
      Number((await query("SHOW SESSION STATUS LIKE 'Com_stmt_prepare'"))[0].Value);
    return { database: pool, sent, query, prepared, close: () => pool.promise().end() };
  },
  async SQLite(url) {
    const sent: string[] = [];
    const Database = require('better-sqlite3');
    const database = new Database(url, { verbose: (sql: string) => sent.push(sql), timeout: 20 });
    const query = async (sql: string) => database.exec(sql);
    return { database, sent, query, prepared: async () => NaN, close: async () => database.close() };
  },
};

/** Statements on SQLite are counted by better-sqlite3, whose binary may be built for another Node. */
export const whyNotCounted = (product: string): string | undefined =>
  product === 'SQLite' && !plainDrivers.some(({ name }) => name === 'better-sqlite3')
    ? 'better-sqlite3 cannot be loaded'
    : undefined;
