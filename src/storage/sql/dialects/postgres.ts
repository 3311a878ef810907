import type { UserIdType } from '../options.js';
import { namesOf } from '../names.js';
import { encodePatch } from '../encoding.js';
import { BATCH, compile, compileAll, type StatementTexts } from '../statements.js';
import type { Dialect } from './dialect.js';

/** Deadlock and serialization failure: the whole statement was undone. */
const TRANSIENT = new Set(['40001', '40P01']);
/** Undefined table, undefined column. */
const MISSING = new Set(['42P01', '42703']);

/** Statements of PostgreSQL 14 and later. */
export function postgres(table: string, schema: string | undefined, userId: UserIdType): Dialect {
  const names = namesOf(table, schema, '"');
  const { sessions, leases } = names;
  const record = `handle, proof, user_id::text AS user_id, created_at, touched_at, expires_at, authenticated_at, ttl,
    client, data::text AS data`;
  // A place that is null asks for nothing, '' and -1 stand for "none": no user, time or client is either.
  const expected = `
    (:expectedProof::text IS NULL OR proof = :expectedProof::text)
    AND (:expectedTtl::bigint IS NULL OR coalesce(ttl, -1) = :expectedTtl::bigint)
    AND (:expectedUser::text IS NULL OR coalesce(user_id::text, '') = :expectedUser::text COLLATE "C")`;
  const update = `UPDATE ${sessions} SET
      data = CASE WHEN :patch::jsonb IS NULL THEN data ELSE jsonb_strip_nulls(data || :patch::jsonb) END,
      proof = coalesce(:proof::text, proof),
      touched_at = coalesce(:touchedAt::bigint, touched_at),
      expires_at = coalesce(:expiresAt::bigint, expires_at),
      purge_after = least(purge_after, :expiresAt::bigint),
      authenticated_at = nullif(coalesce(:authenticatedAt::bigint, authenticated_at), -1),
      ttl = nullif(coalesce(:ttl::bigint, ttl), -1),
      client = nullif(coalesce(:client::text, client), ''),
      user_id = CASE WHEN :user::text IS NULL THEN user_id ELSE nullif(:user::text, '')::${userId} END
    WHERE handle = :handle AND expires_at > :now::bigint AND ${expected}`;
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
    destroy: `DELETE FROM ${sessions} WHERE handle = :handle AND expires_at > :now::bigint AND ${expected}`,
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
    isDuplicate: () => false,
    isMissing: ({ code }) => MISSING.has(String(code)),
  };
}
