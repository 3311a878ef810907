import type { UserIdType } from '../options.js';
import type { DialectName } from '../port.js';
import type { Dialect } from './dialect.js';
import { mysql } from './mysql.js';
import { postgres } from './postgres.js';
import { sqlite } from './sqlite.js';

const DIALECTS = { postgres, mysql, sqlite };

export const dialectOf = (
  name: DialectName,
  table: string,
  schema: string | undefined,
  userId: UserIdType,
): Dialect => DIALECTS[name](table, schema, userId);
