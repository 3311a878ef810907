import { PrismaPg } from '@prisma/adapter-pg';
import { SqlStorage } from 'nest-sessions/sql';
import { Pool } from 'pg';

const pool = new Pool({ connectionString: process.env.DATABASE_URL });

export const adapter = new PrismaPg(pool); // new PrismaClient({ adapter })
export const storage = new SqlStorage(pool);
