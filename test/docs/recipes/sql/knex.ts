import knex from 'knex';
import { SqlStorage } from 'nest-sessions/sql';
import { Pool, type PoolClient } from 'pg';

const pool = new Pool({ connectionString: process.env.DATABASE_URL });

// Knex has a pool of its own, unless it is told where its connections come from.
export const db = knex({ client: 'pg' });
db.client.acquireConnection = () => pool.connect();
db.client.releaseConnection = async (connection: PoolClient) => connection.release();
db.client.destroy = () => pool.end();

export const storage = new SqlStorage(pool);
