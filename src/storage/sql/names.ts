/** Short enough that the names of indexes and of the lease table fit into 63 bytes, PostgreSQL's limit. */
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,47}$/;
const REFERENCE = /^(?:([A-Za-z_]\w{0,62})\.)?([A-Za-z_]\w{0,62})\s*\(\s*([A-Za-z_]\w{0,62})\s*\)$/;

export const NAME_RULE = '1 to 48 letters, digits and _, the first one no digit';

export const REFERENCE_RULE = "a table and its column, such as 'users(id)'";

export const isReference = (value: unknown): value is string =>
  typeof value === 'string' && REFERENCE.test(value);

export const isName = (value: unknown): value is string => typeof value === 'string' && NAME.test(value);

/** The names of one storage's tables and indexes, quoted (S53). */
export interface Names {
  readonly sessions: string;
  readonly leases: string;
  /** Quotes a name that belongs to the table, such as an index of it. */
  of(suffix: string): string;
  /** A table that the user column refers to, and its column; of a text that {@link isReference}. */
  reference(text: string): string;
}

/**
 * @param quote the database's quotation mark for names
 */
export function namesOf(table: string, schema: string | undefined, quote: '"' | '`'): Names {
  const quoted = (name: string) => quote + name + quote;
  const prefix = schema === undefined ? '' : `${quoted(schema)}.`;
  return {
    sessions: prefix + quoted(table),
    leases: prefix + quoted(`${table}_leases`),
    of: (suffix) => quoted(`${table}_${suffix}`),
    reference(text) {
      const [, of, users, column] = REFERENCE.exec(text)!;
      return `${of === undefined ? prefix : `${quoted(of)}.`}${quoted(users)} (${quoted(column)})`;
    },
  };
}
