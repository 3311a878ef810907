import type { UserIdType } from '../options.js';
import { namesOf } from '../names.js';
import { encodePatch } from '../encoding.js';
import { BATCH, compile, compileAll, type StatementTexts } from '../statements.js';
import type { Dialect } from './dialect.js';

/** Deadlock and serialization failure: the whole statement was undone. */
const TRANSIENT = new Set(['40001', '40P01']);
/** Undefined table, undefined column. */
const MISSING = new Set(['42P01', '42703']);

/** A bad value, a constraint, and what a trigger of the application raises. */
const REFUSED = /^(?:22|23|P0)/;

/** Where a value of a change stands in a statement. */
type Place = (name: string, type: string) => string;

const parameter: Place = (name, type) => `:${name}::${type}`;
/** In a list of changes, by the names that an update has for its values. */
const member: Place = (name, type) => `change."${name}"::${type}`;
const members = Object.entries({
  text: ['handle', 'patch', 'proof', 'client', 'user', 'expectedProof', 'expectedUser'],
  bigint: ['touchedAt', 'expiresAt', 'authenticatedAt', 'ttl', 'expectedTtl'],
})
  .flatMap(([type, names]) => names.map((name) => `"${name}" ${type}`))
  .join(', ');

/** Statements of PostgreSQL 14 and later. */
export function postgres(table: string, schema: string | undefined, userId: UserIdType): Dialect {
  const names = namesOf(table, schema, '"');
  const { sessions, leases } = names;
  const record = `handle, proof, user_id::text AS user_id, created_at, touched_at, expires_at, authenticated_at, ttl,
    client, data::text AS data`;
  // A place that is null asks for nothing, '' and -1 stand for "none": no user, time or client is either.
  const expected = (place: Place) => `
    (${place('expectedProof', 'text')} IS NULL OR s.proof = ${place('expectedProof', 'text')})
    AND (${place('expectedTtl', 'bigint')} IS NULL OR coalesce(s.ttl, -1) = ${place('expectedTtl', 'bigint')})
    AND (${place('expectedUser', 'text')} IS NULL
      OR coalesce(s.user_id::text, '') = ${place('expectedUser', 'text')} COLLATE "C")`;
  const changes = (place: Place) => `
      data = CASE WHEN ${place('patch', 'jsonb')} IS NULL THEN s.data
        ELSE jsonb_strip_nulls(s.data || ${place('patch', 'jsonb')}) END,
      proof = coalesce(${place('proof', 'text')}, s.proof),
      touched_at = coalesce(${place('touchedAt', 'bigint')}, s.touched_at),
      expires_at = coalesce(${place('expiresAt', 'bigint')}, s.expires_at),
      purge_after = least(s.purge_after, ${place('expiresAt', 'bigint')}),
      authenticated_at = nullif(coalesce(${place('authenticatedAt', 'bigint')}, s.authenticated_at), -1),
      ttl = nullif(coalesce(${place('ttl', 'bigint')}, s.ttl), -1),
      client = nullif(coalesce(${place('client', 'text')}, s.client), ''),
      user_id = CASE WHEN ${place('user', 'text')} IS NULL THEN s.user_id
        ELSE nullif(${place('user', 'text')}, '')::${userId} END`;
  const update = `UPDATE ${sessions} AS s SET ${changes(parameter)}
    WHERE s.handle = :handle AND s.expires_at > :now::bigint AND ${expected(parameter)}`;
  // A row that somebody else has locked is left out, so that nobody waits for it but who has to, and for no deadlock.
  const updateMany = `WITH free AS (
      SELECT handle FROM ${sessions} WHERE handle = ANY (:handles::text[]) FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE ${sessions} AS s SET ${changes(member)}
    FROM free JOIN json_to_recordset(:changes::json) AS change (${members}) ON change.handle = free.handle
    WHERE s.handle = free.handle AND s.expires_at > :now::bigint AND ${expected(member)}
    RETURNING s.handle`;
  // The lease is locked, not only read: whoever wants to take it over waits until this statement is done.
  const updateFenced = `${update} AND EXISTS (SELECT FROM ${leases} AS lease
    WHERE lease.handle = :handle AND lease.token = :token AND lease.expires_at > :now::bigint FOR SHARE)`;
  const [plain, withFence] = [update, updateFenced].map((text) => compile(text, 'numbered'));
  const texts: StatementTexts = {
    look: `SELECT ${record}, purge_after, token, until FROM ${sessions},
      (SELECT token, expires_at AS until FROM ${leases}) AS leases LIMIT 0`,
    ping: `SELECT 1 AS one`,
    create: `INSERT INTO ${sessions} (handle, proof, user_id, created_at, touched_at, expires_at, authenticated_at, ttl,
        client, data, purge_after)
      VALUES (:handle, :proof, :user::text::${userId}, :createdAt, :touchedAt, :expiresAt, :authenticatedAt, :ttl,
        :client, :data::jsonb, :expiresAt)
      ON CONFLICT (handle) DO NOTHING`,
    removeExpired: `DELETE FROM ${sessions} WHERE handle = :handle AND expires_at <= :now::bigint`,
    read: `SELECT ${record} FROM ${sessions} WHERE handle = :handle AND expires_at > :now::bigint`,
    readMany: `SELECT ${record} FROM ${sessions} WHERE handle = ANY (:handles::text[]) AND expires_at > :now::bigint`,
    destroy: `DELETE FROM ${sessions} AS s
      WHERE handle = :handle AND expires_at > :now::bigint AND ${expected(parameter)}`,
    byUser: `SELECT ${record} FROM ${sessions} WHERE user_id = :user::text::${userId} AND expires_at > :now::bigint`,
    alive: `SELECT handle FROM ${sessions} WHERE handle = ANY (:handles::text[]) AND expires_at > :now::bigint`,
    list: `SELECT ${record} FROM ${sessions} WHERE handle > :after AND expires_at > :now::bigint
      ORDER BY handle LIMIT :limit::int`,
    count: `SELECT count(*) AS count FROM ${sessions}`,
    due: `SELECT handle, user_id::text AS user_id, expires_at FROM ${sessions} WHERE purge_after <= :now::bigint
      ORDER BY purge_after LIMIT least(:limit::int, ${BATCH}) FOR UPDATE SKIP LOCKED`,
    removeDue: `DELETE FROM ${sessions} WHERE handle = ANY (:handles::text[]) AND expires_at <= :now::bigint
      RETURNING handle, user_id::text AS user_id`,
    refileDue: `UPDATE ${sessions} SET purge_after = expires_at
      WHERE handle = ANY (:handles::text[]) AND expires_at > :now::bigint`,
    purgeLeases: `DELETE FROM ${leases} WHERE handle IN (SELECT handle FROM ${leases}
      WHERE expires_at <= :now::bigint LIMIT ${BATCH} FOR UPDATE SKIP LOCKED) AND expires_at <= :now::bigint`,
    acquire: [
      `INSERT INTO ${leases} AS lease (handle, token, expires_at) VALUES (:handle, :token, :until)
        ON CONFLICT (handle) DO UPDATE SET token = :token, expires_at = :until
        WHERE lease.expires_at <= :now::bigint`,
    ],
    holds: `SELECT 1 AS held FROM ${leases} WHERE handle = :handle AND token = :token AND expires_at > :now::bigint`,
    release: `DELETE FROM ${leases} WHERE handle = :handle AND token = :token`,
  };
  return {
    name: 'postgres',
    statements: compileAll(texts, 'numbered'),
    update: (_, fenced) => (fenced ? withFence : plain),
    updateMany: compile(updateMany, 'numbered'),
    dataValues: (set, remove) => ({ patch: encodePatch(set, remove) }),
    beginPurge: ['BEGIN'],
    tellsRemoved: true,
    userValue: (user) => user,
    userOf: (column) => column,
    // Handles have no character that would need quoting.
    handlesValue: (handles) => `{${handles.join(',')}}`,
    beginDdl: ['BEGIN', `SELECT pg_advisory_xact_lock(hashtext('nest-sessions'))`],
    ddl({ references, ifNotExists }) {
      const unless = ifNotExists ? 'IF NOT EXISTS ' : '';
      const user = userId === 'text' ? 'text COLLATE "C"' : userId;
      const reference =
        references !== undefined ? ` REFERENCES ${names.reference(references)} ON DELETE CASCADE` : '';
      return [
        `CREATE TABLE ${unless}${sessions} (
  handle text COLLATE "C" PRIMARY KEY,
  proof text COLLATE "C" NOT NULL,
  user_id ${user}${reference},
  created_at bigint NOT NULL,
  touched_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  authenticated_at bigint,
  ttl bigint,
  client text,
  data jsonb NOT NULL,
  purge_after bigint NOT NULL
) WITH (fillfactor = 80)`,
        `CREATE INDEX ${unless}${names.of('purge_after')} ON ${sessions} (purge_after)`,
        `CREATE INDEX ${unless}${names.of('user_id')} ON ${sessions} (user_id) WHERE user_id IS NOT NULL`,
        `CREATE TABLE ${unless}${leases} (
  handle text COLLATE "C" PRIMARY KEY,
  token text COLLATE "C" NOT NULL,
  expires_at bigint NOT NULL
)`,
      ];
    },
    isTransient: ({ code }) => TRANSIENT.has(String(code)),
    isRefusal: ({ code }) => REFUSED.test(String(code)),
    isDuplicate: () => false,
    isMissing: ({ code }) => MISSING.has(String(code)),
  };
}
