import type { UserIdType } from '../options.js';
import { namesOf } from '../names.js';
import { encodeKey, encodePatch } from '../encoding.js';
import type { Statement } from '../port.js';
import { BATCH, compile, compileAll, type StatementTexts } from '../statements.js';
import type { Dialect } from './dialect.js';

/** Lock wait timeout, deadlock, and MariaDB's "record has changed since last read". */
const TRANSIENT = new Set([1205, 1213, 1020]);
/** No such table, unknown column. */
const MISSING = new Set([1146, 1054]);
const DUPLICATE = 1062;

interface UserColumn {
  readonly type: string;
  /** The column in an answer. */
  readonly read: string;
  /** A place as the column holds it; '' and null are nobody. */
  write(place: string): string;
}

/** Texts go as hexadecimal digits: no character set of a connection changes whose session it is (S59). */
const TEXT: UserColumn = {
  type: 'varchar(512)',
  read: 'HEX(user_id)',
  write: (place) => `CONVERT(UNHEX(NULLIF(${place}, '')) USING utf8mb4)`,
};
const USERS: Readonly<Record<UserIdType, UserColumn>> = {
  text: TEXT,
  uuid: { ...TEXT, type: 'char(36)' },
  bigint: {
    type: 'bigint',
    read: 'CAST(user_id AS CHAR)',
    write: (place) => `CAST(NULLIF(${place}, '') AS SIGNED)`,
  },
};

/**
 * How many places for removed keys a statement has: powers of two, so that there are few statements. Keys are removed
 * by JSON_REMOVE: the JSON_MERGE_PATCH of MariaDB leaves some of those that are null in the patch (10.11).
 */
const placesFor = (removing: number): number => (removing === 0 ? 0 : 2 ** Math.ceil(Math.log2(removing)));

/** An encoded key has no character that a path would have to escape. */
const pathOf = (key: string): string => `$."${encodeKey(key)}"`;

/** Statements that MySQL 8 and MariaDB 10.6 and later share. */
export function mysql(table: string, schema: string | undefined, userId: UserIdType): Dialect {
  const names = namesOf(table, schema, '`');
  const { sessions, leases } = names;
  const column = USERS[userId];
  const isText = column.read === TEXT.read;
  // Bytes, which no connection's character set touches.
  const record = `s.handle AS handle, proof, ${column.read} AS user_id, created_at, touched_at, s.expires_at AS expires_at,
    authenticated_at, ttl, client, CAST(data AS BINARY) AS data`;
  const expected = `
    (:expectedProof IS NULL OR proof = :expectedProof)
    AND (:expectedTtl IS NULL OR COALESCE(ttl, -1) = :expectedTtl)
    AND (:expectedUser IS NULL OR COALESCE(${column.read}, '') = :expectedUser)`;
  const changes = (data: string) => `
      data = CASE WHEN :patch IS NULL THEN ${data} ELSE JSON_MERGE_PATCH(${data}, :patch) END,
      proof = COALESCE(:proof, proof),
      touched_at = COALESCE(:touchedAt, touched_at),
      s.expires_at = COALESCE(:expiresAt, s.expires_at),
      purge_after = LEAST(purge_after, COALESCE(:expiresAt, purge_after)),
      authenticated_at = NULLIF(COALESCE(:authenticatedAt, authenticated_at), -1),
      ttl = NULLIF(COALESCE(:ttl, ttl), -1),
      client = NULLIF(COALESCE(:client, client), ''),
      user_id = CASE WHEN :user IS NULL THEN user_id ELSE ${column.write(':user')} END
    WHERE s.handle = :handle AND s.expires_at > :now AND ${expected}`;
  // Handles are ASCII; of the two character sets that meet here, the column's is the one that is used.
  const chosen = `JSON_TABLE(:handles, '$[*]' COLUMNS (
      handle varchar(64) CHARACTER SET ascii COLLATE ascii_bin PATH '$')) AS chosen`;
  const updates = new Map<string, Statement>();
  const update = (removing: number, fenced: boolean): Statement => {
    const places = placesFor(removing);
    const key = `${places} ${fenced}`;
    let statement = updates.get(key);
    if (statement) return statement;
    const paths = Array.from({ length: places }, (_, i) => `, :removed${i}`).join('');
    const all = changes(places === 0 ? 'data' : `JSON_REMOVE(data${paths})`);
    // As if the lease were changed too: then it is locked, and whoever wants to take it over waits for this.
    const text = fenced
      ? `UPDATE ${sessions} AS s JOIN ${leases} AS lease ON lease.handle = s.handle
          SET lease.token = lease.token, ${all} AND lease.token = :token AND lease.expires_at > :now`
      : `UPDATE ${sessions} AS s SET ${all}`;
    updates.set(key, (statement = compile(text)));
    return statement;
  };
  const texts: StatementTexts = {
    look: `SELECT ${record}, purge_after, token, until FROM ${sessions} AS s,
      (SELECT token, expires_at AS until FROM ${leases} LIMIT 1) AS leases LIMIT 0`,
    ping: `SELECT 1 AS one`,
    create: `INSERT INTO ${sessions} (handle, proof, user_id, created_at, touched_at, expires_at, authenticated_at,
        ttl, client, data, purge_after)
      VALUES (:handle, :proof, ${column.write(':user')}, :createdAt, :touchedAt, :expiresAt, :authenticatedAt,
        :ttl, :client, :data, :expiresAt)`,
    removeExpired: `DELETE FROM ${sessions} WHERE handle = :handle AND expires_at <= :now`,
    read: `SELECT ${record} FROM ${sessions} AS s WHERE handle = :handle AND expires_at > :now`,
    readMany: `SELECT ${record} FROM ${chosen} STRAIGHT_JOIN ${sessions} AS s ON s.handle = chosen.handle
      WHERE s.expires_at > :now`,
    destroy: `DELETE FROM ${sessions} WHERE handle = :handle AND expires_at > :now AND ${expected}`,
    byUser: `SELECT ${record} FROM ${sessions} AS s WHERE user_id = ${column.write(':user')} AND expires_at > :now`,
    alive: `SELECT s.handle AS handle FROM ${chosen} STRAIGHT_JOIN ${sessions} AS s ON s.handle = chosen.handle
      WHERE s.expires_at > :now`,
    list: `SELECT ${record} FROM ${sessions} AS s WHERE handle > :after AND expires_at > :now
      ORDER BY handle LIMIT ${BATCH}`,
    count: `SELECT COUNT(*) AS count FROM ${sessions}`,
    due: `SELECT handle, ${column.read} AS user_id, expires_at FROM ${sessions} WHERE purge_after <= :now
      ORDER BY purge_after LIMIT ${BATCH} FOR UPDATE SKIP LOCKED`,
    removeDue: `DELETE s FROM ${chosen} STRAIGHT_JOIN ${sessions} AS s ON s.handle = chosen.handle
      WHERE s.expires_at <= :now`,
    refileDue: `UPDATE ${chosen} STRAIGHT_JOIN ${sessions} AS s ON s.handle = chosen.handle
      SET s.purge_after = s.expires_at WHERE s.expires_at > :now`,
    purgeLeases: `DELETE FROM ${leases} WHERE expires_at <= :now LIMIT ${BATCH}`,
    acquire: [
      `INSERT IGNORE INTO ${leases} (handle, token, expires_at) VALUES (:handle, :token, :until)`,
      `UPDATE ${leases} SET token = :token, expires_at = :until WHERE handle = :handle AND expires_at <= :now`,
    ],
    holds: `SELECT 1 AS held FROM ${leases} WHERE handle = :handle AND token = :token AND expires_at > :now`,
    release: `DELETE FROM ${leases} WHERE handle = :handle AND token = :token`,
  };
  return {
    name: 'mysql',
    statements: compileAll(texts, 'question marks'),
    // Without locks on the gaps between rows, into which others want to put theirs.
    beginPurge: ['SET TRANSACTION ISOLATION LEVEL READ COMMITTED', 'START TRANSACTION'],
    update,
    dataValues(set, remove) {
      const values: Record<string, string | null> = { patch: encodePatch(set, []) };
      const places = placesFor(remove.length);
      // The last one is removed again and again until all places are taken.
      for (let i = 0; i < places; i++) values[`removed${i}`] = pathOf(remove[Math.min(i, remove.length - 1)]);
      return values;
    },
    tellsRemoved: false,
    userValue: (user) => (isText ? Buffer.from(user).toString('hex').toUpperCase() : user),
    userOf: (read) => (isText ? Buffer.from(read, 'hex').toString() : read),
    handlesValue: (handles) => JSON.stringify(handles),
    version: 'SELECT VERSION() AS version',
    ddl({ references, ifNotExists, version = '' }) {
      const unless = ifNotExists ? 'IF NOT EXISTS ' : '';
      // Neither looks away from trailing blanks, as utf8mb4_bin does.
      const collation = /mariadb/i.test(version) ? 'utf8mb4_nopad_bin' : 'utf8mb4_0900_bin';
      const options = `ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=${collation}`;
      const reference =
        references !== undefined
          ? `,\n  FOREIGN KEY (user_id) REFERENCES ${names.reference(references)} ON DELETE CASCADE`
          : '';
      return [
        `CREATE TABLE ${unless}${leases} (
  handle varchar(64) NOT NULL PRIMARY KEY,
  token varchar(64) NOT NULL,
  expires_at bigint NOT NULL
) ${options}`,
        `CREATE TABLE ${unless}${sessions} (
  handle varchar(64) NOT NULL PRIMARY KEY,
  proof varchar(255) NOT NULL,
  user_id ${column.type},
  created_at bigint NOT NULL,
  touched_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  authenticated_at bigint,
  ttl bigint,
  client text,
  data json NOT NULL,
  purge_after bigint NOT NULL,
  KEY ${names.of('purge_after')} (purge_after),
  KEY ${names.of('user_id')} (user_id)${reference}
) ${options}`,
      ];
    },
    isTransient: ({ errno }) => TRANSIENT.has(Number(errno)),
    isDuplicate: ({ errno }) => errno === DUPLICATE,
    isMissing: ({ errno }) => MISSING.has(Number(errno)),
  };
}
