import type { UserIdType } from '../options.js';
import { namesOf } from '../names.js';
import { encodePatch } from '../encoding.js';
import { BATCH, compile, compileAll, type StatementTexts } from '../statements.js';
import type { Dialect, SqlError } from './dialect.js';

const COLUMN = { text: 'TEXT', uuid: 'TEXT', bigint: 'INTEGER' } as const;

/** SQLITE_BUSY and SQLITE_LOCKED, with all their extended codes. */
const TRANSIENT = new Set([5, 6]);

/** Statements of SQLite 3.38 and later. */
export function sqlite(table: string, schema: string | undefined, userId: UserIdType): Dialect {
  const names = namesOf(table, schema, '"');
  const { sessions, leases } = names;
  const user = (place: string) => `CAST(nullif(${place}, '') AS ${COLUMN[userId]})`;
  const record = `handle, proof, CAST(user_id AS TEXT) AS user_id, created_at, touched_at, expires_at,
    authenticated_at, ttl, client, data`;
  const expected = `
    (:expectedProof IS NULL OR proof = :expectedProof)
    AND (:expectedTtl IS NULL OR coalesce(ttl, -1) = :expectedTtl)
    AND (:expectedUser IS NULL OR coalesce(CAST(user_id AS TEXT), '') = :expectedUser)`;
  const update = `UPDATE ${sessions} SET
      data = CASE WHEN :patch IS NULL THEN data ELSE json_patch(data, :patch) END,
      proof = coalesce(:proof, proof),
      touched_at = coalesce(:touchedAt, touched_at),
      expires_at = coalesce(:expiresAt, expires_at),
      purge_after = min(purge_after, coalesce(:expiresAt, purge_after)),
      authenticated_at = nullif(coalesce(:authenticatedAt, authenticated_at), -1),
      ttl = nullif(coalesce(:ttl, ttl), -1),
      client = nullif(coalesce(:client, client), ''),
      user_id = CASE WHEN :user IS NULL THEN user_id ELSE ${user(':user')} END
    WHERE handle = :handle AND expires_at > :now AND ${expected}`;
  const chosen = `SELECT value FROM json_each(:handles)`;
  const updateFenced = `${update} AND EXISTS (SELECT 1 FROM ${leases} AS lease
    WHERE lease.handle = :handle AND lease.token = :token AND lease.expires_at > :now)`;
  const [plain, withFence] = [update, updateFenced].map((text) => compile(text));
  const texts: StatementTexts = {
    // The indexes too: a process that ended while it made them leaves them to the next one.
    look: `SELECT ${record}, purge_after, token, until FROM ${sessions} INDEXED BY ${names.of('purge_after')},
      (SELECT token, expires_at AS until FROM ${leases}),
      (SELECT 1 FROM ${sessions} INDEXED BY ${names.of('user_id')} WHERE user_id IS NOT NULL)
      WHERE purge_after > 0 LIMIT 0`,
    ping: `SELECT 1 AS one`,
    create: `INSERT INTO ${sessions} (handle, proof, user_id, created_at, touched_at, expires_at, authenticated_at, ttl,
        client, data, purge_after)
      VALUES (:handle, :proof, ${user(':user')}, :createdAt, :touchedAt, :expiresAt, :authenticatedAt, :ttl,
        :client, :data, :expiresAt)
      ON CONFLICT (handle) DO NOTHING`,
    removeExpired: `DELETE FROM ${sessions} WHERE handle = :handle AND expires_at <= :now`,
    read: `SELECT ${record} FROM ${sessions} WHERE handle = :handle AND expires_at > :now`,
    readMany: `SELECT ${record} FROM ${sessions} WHERE handle IN (${chosen}) AND expires_at > :now`,
    destroy: `DELETE FROM ${sessions} WHERE handle = :handle AND expires_at > :now AND ${expected}`,
    byUser: `SELECT ${record} FROM ${sessions} WHERE user_id = ${user(':user')} AND expires_at > :now`,
    alive: `SELECT handle FROM ${sessions} WHERE handle IN (${chosen}) AND expires_at > :now`,
    list: `SELECT ${record} FROM ${sessions} WHERE handle > :after AND expires_at > :now
      ORDER BY handle LIMIT :limit`,
    count: `SELECT count(*) AS count FROM ${sessions}`,
    due: `SELECT handle, CAST(user_id AS TEXT) AS user_id, expires_at FROM ${sessions} WHERE purge_after <= :now
      ORDER BY purge_after LIMIT min(:limit, ${BATCH})`,
    removeDue: `DELETE FROM ${sessions} WHERE handle IN (${chosen}) AND expires_at <= :now
      RETURNING handle, CAST(user_id AS TEXT) AS user_id`,
    refileDue: `UPDATE ${sessions} SET purge_after = expires_at WHERE handle IN (${chosen}) AND expires_at > :now`,
    purgeLeases: `DELETE FROM ${leases} WHERE handle IN (
      SELECT handle FROM ${leases} WHERE expires_at <= :now LIMIT ${BATCH})`,
    acquire: [
      `INSERT INTO ${leases} AS lease (handle, token, expires_at) VALUES (:handle, :token, :until)
        ON CONFLICT (handle) DO UPDATE SET token = excluded.token, expires_at = excluded.expires_at
        WHERE lease.expires_at <= :now`,
    ],
    holds: `SELECT 1 AS held FROM ${leases} WHERE handle = :handle AND token = :token AND expires_at > :now`,
    release: `DELETE FROM ${leases} WHERE handle = :handle AND token = :token`,
  };
  return {
    name: 'sqlite',
    statements: compileAll(texts, 'question marks'),
    update: (_, fenced) => (fenced ? withFence : plain),
    dataValues: (set, remove) => ({ patch: encodePatch(set, remove) }),
    tellsRemoved: true,
    userValue: (value) => value,
    userOf: (column) => column,
    handlesValue: (handles) => JSON.stringify(handles),
    ddl({ references, ifNotExists }) {
      const unless = ifNotExists ? 'IF NOT EXISTS ' : '';
      const reference =
        references !== undefined
          ? ` REFERENCES ${unqualified(names.reference(references))} ON DELETE CASCADE`
          : '';
      // An index is made in the schema that its own name says.
      const index = (suffix: string) => sessions.slice(0, -table.length - 2) + names.of(suffix);
      const on = unqualified(sessions);
      return [
        `CREATE TABLE ${unless}${sessions} (
  handle TEXT NOT NULL PRIMARY KEY,
  proof TEXT NOT NULL,
  user_id ${COLUMN[userId]}${reference},
  created_at INTEGER NOT NULL,
  touched_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  authenticated_at INTEGER,
  ttl INTEGER,
  client TEXT,
  data TEXT NOT NULL,
  purge_after INTEGER NOT NULL
)`,
        `CREATE INDEX ${unless}${index('purge_after')} ON ${on} (purge_after)`,
        `CREATE INDEX ${unless}${index('user_id')} ON ${on} (user_id) WHERE user_id IS NOT NULL`,
        `CREATE TABLE ${unless}${leases} (
  handle TEXT NOT NULL PRIMARY KEY,
  token TEXT NOT NULL,
  expires_at INTEGER NOT NULL
)`,
      ];
    },
    isTransient: (error) => TRANSIENT.has(codeOf(error) & 255),
    isDuplicate: () => false,
    isMissing: (error) => /no such (?:table|column|index)/.test(error.message),
  };
}

const unqualified = (name: string): string => name.replace(/^"\w+"\./, '');

/** The number of SQLite's result code, whichever driver tells it. */
function codeOf({ code, errcode }: SqlError): number {
  if (typeof errcode === 'number') return errcode;
  const text = String(code);
  if (text.startsWith('SQLITE_BUSY')) return 5;
  return text.startsWith('SQLITE_LOCKED') ? 6 : 0;
}
