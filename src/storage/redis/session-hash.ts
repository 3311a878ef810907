import { RecordData } from '../record.js';
import type { SessionRecord } from '../record.js';
import type { Expectation, SessionChange } from '../session-storage.js';

/**
 * How a session is written as a hash. Its own fields are a few texts, and not one field a property: that is half of
 * the memory, of the bytes on the wire and of the work to read them. None is longer than 64 bytes (a long user id and
 * the client aside), so that Redis keeps a small session in its compact form.
 *
 * | field | text |
 * |---|---|
 * | `@`  | touchedAt, expiresAt, ttl or `-`, until when the index lists it or `-` |
 * | `@p` | proof, createdAt, a number used once |
 * | `@u` | authenticatedAt or `-`, then the user after `=`, or `-`; there only if one of them is |
 * | `@c` | client, as it is; there only if it is given |
 * | else | one data value under its key; a key that starts with `@` has one more in front |
 */
const META = 64; // '@'

const TIMES = /^(\d+(?:\.\d+)?) (\d+(?:\.\d+)?) (-|\d+(?:\.\d+)?) (-|\d+)$/;
const START = /^(\S+) (\d+(?:\.\d+)?) \S*$/;
const LOGIN = /^(-|\d+(?:\.\d+)?) (?:-|=([^]*))$/;

/** All fields and values of a new session, as the creating script takes them. */
export function fieldsOf(record: SessionRecord, listed: Listing | undefined): string[] {
  const { touchedAt, expiresAt, ttl, proof, createdAt, userId, authenticatedAt, client, data } = record;
  const bound = userId !== undefined || authenticatedAt !== undefined;
  const until = bound ? (listed?.until ?? 0) : '-';
  const fields = [
    '@',
    `${touchedAt} ${expiresAt} ${ttl ?? '-'} ${until}`,
    '@p',
    `${checkProof(proof)} ${createdAt} ${numberOnce()}`,
  ];
  if (bound) fields.push('@u', `${authenticatedAt ?? '-'} ${userText(userId)}`);
  if (client !== undefined) fields.push('@c', client);
  pushData(fields, data);
  return fields;
}

/** An expectation as three arguments of a script: proof, ttl and user; empty is anything, and `-` is none. */
export function expectationArgs({ proof, ttl, userId }: Expectation = {}): string[] {
  return [proof ?? '', numberArg(ttl), textArg(userId)];
}

/**
 * A change, and what it expects, as the arguments of the updating script.
 *
 * @param listed what the index says of the session
 * @param linger milliseconds that Redis keeps the session past its deadline
 */
export function changeArgs(change: SessionChange, listed: Listing | undefined, linger: number): string[] {
  const { set, remove, touchedAt, expiresAt, ttl, proof, authenticatedAt, userId, client } = change;
  const { expected, lease } = change;
  const endsItsExpectation = expected && [proof, ttl, userId].some((value) => value !== undefined);
  // What is removed and set ends up set.
  const removed = remove?.filter((key) => !set || !Object.hasOwn(set, key)) ?? [];
  const args = [
    ...expectationArgs(expected),
    numberArg(touchedAt),
    numberArg(expiresAt),
    expiresAt === undefined ? '' : removalTime(expiresAt, linger),
    numberArg(ttl),
    proof === undefined ? '' : checkProof(proof),
    endsItsExpectation ? numberOnce() : '',
    numberArg(authenticatedAt),
    textArg(userId),
    textArg(client),
    numberArg(listed?.until),
    textArg(listed?.userId),
    lease ?? '',
    String(removed.length),
  ];
  for (const key of removed) args.push(fieldOf(key));
  if (set) pushData(args, set);
  return args;
}

/** What the index of users says of a session. */
export interface Listing {
  readonly userId: string;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

/** When Redis removes a session by itself. */
export const removalTime = (expiresAt: number, linger: number): string =>
  String(Math.ceil(expiresAt) + linger);

/** A user as it is written. */
export const userText = (userId: string | undefined): string => (userId === undefined ? '-' : `=${userId}`);

/** The user that {@link userText} wrote. */
export const userOf = (text: string): string | undefined => (text === '-' ? undefined : text.slice(1));

/** @returns the record, or undefined if a field of its own is missing or damaged (S49) */
export function recordOf(handle: string, hash: readonly string[]): SessionRecord | undefined {
  let times: string | undefined;
  let start: string | undefined;
  let login: string | undefined;
  let client: string | undefined;
  const data = new RecordData();
  for (let i = 0; i < hash.length; i += 2) {
    const field = hash[i];
    if (field.charCodeAt(0) !== META) data[field] = hash[i + 1];
    else if (field.charCodeAt(1) === META) data[field.slice(1)] = hash[i + 1];
    else if (field === '@') times = hash[i + 1];
    else if (field === '@p') start = hash[i + 1];
    else if (field === '@u') login = hash[i + 1];
    else if (field === '@c') client = hash[i + 1];
  }
  const timed = times === undefined ? null : TIMES.exec(times);
  const started = start === undefined ? null : START.exec(start);
  if (!timed || !started || (login === undefined) !== (timed[4] === '-')) return undefined;
  const bound = login === undefined ? undefined : LOGIN.exec(login);
  if (bound === null) return undefined;
  return {
    handle,
    proof: started[1],
    createdAt: Number(started[2]),
    touchedAt: Number(timed[1]),
    expiresAt: Number(timed[2]),
    authenticatedAt: bound === undefined || bound[1] === '-' ? undefined : Number(bound[1]),
    ttl: timed[3] === '-' ? undefined : Number(timed[3]),
    userId: bound?.[2],
    client,
    data,
  };
}

/**
 * Tells a command that is sent again from another of the same content. Of 31 bits, which is as much as there is
 * room for.
 */
const numberOnce = (): string => Math.floor(Math.random() * 36 ** 6).toString(36);

/** The field of a data key. */
const fieldOf = (key: string): string => (key.charCodeAt(0) === META ? `@${key}` : key);

/** Adds the fields and values of data to a command. */
function pushData(args: string[], data: Readonly<Record<string, string>>): void {
  for (const key of Object.keys(data)) args.push(fieldOf(key), data[key]);
}

/** @throws {Error} on a proof that could not be read back */
function checkProof(proof: string): string {
  if (/^\S+$/.test(proof)) return proof;
  throw new Error('RedisStorage: a proof is a base64url text; got one that is empty or has spaces.');
}

/** Not given is empty, and null is `-`. */
function numberArg(value: number | null | undefined): string {
  return value === undefined ? '' : String(value ?? '-');
}

function textArg(value: string | null | undefined): string {
  return value === undefined ? '' : userText(value ?? undefined);
}
