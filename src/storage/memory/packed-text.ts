import { RecordData, type SessionRecord } from '../record.js';
import type { Expectation } from '../session-storage.js';

/** What a session consists of beside its times. */
export type SessionBody = Omit<SessionRecord, 'createdAt' | 'touchedAt' | 'expiresAt'>;

/** Stands between the fields of a text. JSON never contains it unescaped; what does is not kept as a text. */
const SEPARATOR = '\u001f';

/** The most characters a session has that is kept as one text: reading one field goes through all of it. */
const SMALL = 1_024;

/** Tells an optional text that is there, an empty one included, from none. */
const PRESENT = '=';

/** How many fields of a text come before the values of its keys. */
const OWN_FIELDS = 6;

/** A small session as one flat string of its fields, its keys apart; undefined if it is none that can be. */
export function pack(body: SessionBody, keys: readonly string[]): string | undefined {
  const { handle, userId, proof, authenticatedAt, ttl, client, data } = body;
  const fields = [
    handle,
    userId === undefined ? '' : PRESENT + userId,
    proof,
    authenticatedAt === undefined ? '' : String(authenticatedAt),
    ttl === undefined ? '' : String(ttl),
    client === undefined ? '' : PRESENT + client,
  ];
  for (const key of keys) fields.push(data[key]);
  let length = fields.length;
  for (const field of fields) {
    length += field.length;
    if (length > SMALL || field.includes(SEPARATOR)) return undefined;
  }
  // Not `+`: that makes a tree of strings, and holds on to the bigger strings that a field may be a part of.
  return fields.join(SEPARATOR);
}

export function unpack(text: string, keys: readonly string[]): SessionBody {
  const handleEnd = text.indexOf(SEPARATOR);
  const userIdEnd = text.indexOf(SEPARATOR, handleEnd + 1);
  const proofEnd = text.indexOf(SEPARATOR, userIdEnd + 1);
  const loginEnd = text.indexOf(SEPARATOR, proofEnd + 1);
  const ttlEnd = text.indexOf(SEPARATOR, loginEnd + 1);
  const clientEnd = endOfField(text, ttlEnd + 1);
  const data: Record<string, string> = new RecordData();
  let end = clientEnd;
  for (let i = 0; i < keys.length; i++) {
    const start = end + 1;
    end = endOfField(text, start);
    data[keys[i]] = text.slice(start, end);
  }
  return {
    handle: text.slice(0, handleEnd),
    proof: text.slice(userIdEnd + 1, proofEnd),
    userId: userIdEnd === handleEnd + 1 ? undefined : text.slice(handleEnd + 1 + PRESENT.length, userIdEnd),
    authenticatedAt: loginEnd === proofEnd + 1 ? undefined : Number(text.slice(proofEnd + 1, loginEnd)),
    ttl: ttlEnd === loginEnd + 1 ? undefined : Number(text.slice(loginEnd + 1, ttlEnd)),
    client: clientEnd === ttlEnd + 1 ? undefined : text.slice(ttlEnd + 1 + PRESENT.length, clientEnd),
    data,
  };
}

export function hasHandle(text: string, handle: string): boolean {
  // Not `startsWith`: that compares letter by letter.
  return text.indexOf(SEPARATOR) === handle.length && text.slice(0, handle.length) === handle;
}

export function handleOf(text: string): string {
  return text.slice(0, text.indexOf(SEPARATOR));
}

export function hasUser(text: string): boolean {
  return text[text.indexOf(SEPARATOR) + 1] === PRESENT;
}

export function userIdOf(text: string): string | undefined {
  const start = text.indexOf(SEPARATOR) + 1;
  return text[start] === PRESENT ? text.slice(start + 1, text.indexOf(SEPARATOR, start)) : undefined;
}

/** Whether an expectation holds. Most ask for the user alone, so the fields are compared where they are. */
export function meets(text: string, { proof, ttl, userId }: Expectation): boolean {
  const handleEnd = text.indexOf(SEPARATOR);
  const userIdEnd = text.indexOf(SEPARATOR, handleEnd + 1);
  if (userId === null) {
    if (userIdEnd !== handleEnd + 1) return false;
  } else if (userId !== undefined) {
    if (text[handleEnd + 1] !== PRESENT || text.slice(handleEnd + 2, userIdEnd) !== userId) return false;
  }
  if (proof === undefined && ttl === undefined) return true;
  const proofEnd = text.indexOf(SEPARATOR, userIdEnd + 1);
  if (proof !== undefined && text.slice(userIdEnd + 1, proofEnd) !== proof) return false;
  if (ttl === undefined) return true;
  const loginEnd = text.indexOf(SEPARATOR, proofEnd + 1);
  return (
    text.slice(loginEnd + 1, text.indexOf(SEPARATOR, loginEnd + 1)) === (ttl === null ? '' : String(ttl))
  );
}

/** The text with another value for its key number `at`, as one flat string; undefined if it cannot be. */
export function withValue(text: string, at: number, value: string): string | undefined {
  if (value.includes(SEPARATOR)) return undefined;
  let start = 0;
  for (let i = 0; i < OWN_FIELDS + at; i++) start = text.indexOf(SEPARATOR, start) + 1;
  const end = endOfField(text, start);
  if (text.length - (end - start) + value.length >= SMALL) return undefined;
  return [text.slice(0, start), value, text.slice(end)].join('');
}

function endOfField(text: string, start: number): number {
  const end = text.indexOf(SEPARATOR, start);
  return end === -1 ? text.length : end;
}
