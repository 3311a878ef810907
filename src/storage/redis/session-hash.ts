import { RecordData } from '../record.js';
import type { SessionRecord } from '../record.js';

/**
 * How a session is written as a hash. Its own fields are three texts, and not one field a property: that is half
 * of the memory, of the bytes on the wire and of the work to read them. None is longer than 64 bytes (a long user
 * id aside), so that Redis keeps a small session in its compact form.
 *
 * | field | text |
 * |---|---|
 * | `@`  | version, touchedAt, expiresAt, ttl or `-`, until when the index lists it or `-` |
 * | `@p` | proof, createdAt, a number used once |
 * | `@u` | authenticatedAt or `-`, then the user after `=`; there only if one of them is |
 * | else | one data value under its key; a key that starts with `@` has one more in front |
 */
const META = 64; // '@'

const TIMES = /^(\d+) (\d+(?:\.\d+)?) (\d+(?:\.\d+)?) (-|\d+(?:\.\d+)?) (-|\d+)$/;
const START = /^(\S+) (\d+(?:\.\d+)?) \S*$/;
const LOGIN = /^(-|\d+(?:\.\d+)?) (?:=([^]*))?$/;

/** The fields of a new session: the three of its own, the last one empty if it is not to be. */
export function metaOf(record: SessionRecord, listedUntil: number | undefined, once: string) {
  const { version, touchedAt, expiresAt, ttl, proof, createdAt, userId, authenticatedAt } = record;
  const bound = userId !== undefined || authenticatedAt !== undefined;
  const listed = bound ? (listedUntil ?? 0) : '-';
  return [
    `${version} ${touchedAt} ${expiresAt} ${ttl ?? '-'} ${listed}`,
    `${checkProof(proof)} ${createdAt} ${once}`,
    bound ? `${authenticatedAt ?? '-'} ${userText(userId)}` : '',
  ] as const;
}

/** @throws {Error} on a proof that could not be read back */
export function checkProof(proof: string): string {
  if (/^\S+$/.test(proof)) return proof;
  throw new Error('RedisStorage: a proof is a base64url text; got one that is empty or has spaces.');
}

/** A user as it is written; no user is the empty text, which no user is. */
export const userText = (userId: string | undefined): string => (userId === undefined ? '' : `=${userId}`);

/** The field of a data key. */
export const fieldOf = (key: string): string => (key.charCodeAt(0) === META ? `@${key}` : key);

/** Adds the fields and values of data to a command. */
export function pushData(args: string[], data: Readonly<Record<string, string>>): void {
  for (const key of Object.keys(data)) args.push(fieldOf(key), data[key]);
}

/** @returns the record, or undefined if a field of its own is missing or damaged (S49) */
export function recordOf(handle: string, hash: readonly string[]): SessionRecord | undefined {
  let times: string | undefined;
  let start: string | undefined;
  let login: string | undefined;
  const data = new RecordData();
  for (let i = 0; i < hash.length; i += 2) {
    const field = hash[i];
    if (field.charCodeAt(0) !== META) data[field] = hash[i + 1];
    else if (field.charCodeAt(1) === META) data[field.slice(1)] = hash[i + 1];
    else if (field === '@') times = hash[i + 1];
    else if (field === '@p') start = hash[i + 1];
    else if (field === '@u') login = hash[i + 1];
  }
  const timed = times === undefined ? null : TIMES.exec(times);
  const started = start === undefined ? null : START.exec(start);
  if (!timed || !started || (login === undefined && timed[5] !== '-')) return undefined;
  const bound = login === undefined ? undefined : LOGIN.exec(login);
  if (bound === null) return undefined;
  return {
    handle,
    proof: started[1],
    version: Number(timed[1]),
    createdAt: Number(started[2]),
    touchedAt: Number(timed[2]),
    expiresAt: Number(timed[3]),
    authenticatedAt: bound === undefined || bound[1] === '-' ? undefined : Number(bound[1]),
    ttl: timed[4] === '-' ? undefined : Number(timed[4]),
    userId: bound?.[2],
    data,
  };
}
