import { drizzle } from 'drizzle-orm/node-postgres';
import { SqlStorage } from 'nest-sessions/sql';
import { Pool } from 'pg';

export const db = drizzle({ client: new Pool({ connectionString: process.env.DATABASE_URL }) });
export const storage = new SqlStorage(db.$client);
