import { hash, randomBytes, timingSafeEqual } from 'node:crypto';
import { SessionError } from '../errors.js';

/*
 * An id is `handle.secret`. The handle finds the record and is no secret, so how long a look-up takes
 * tells nothing; the secret proves that the id was issued, and only its SHA-256 is stored (S8).
 *
 * An id of the application's own has no handle in it: its handle comes from its hash.
 */
const ISSUED = /^[\w-]{21}[AQgw]\.[\w.~-]{22,256}$/;
const OWN = /^[\w.~-]{22,256}$/;

/** A text of an id's form, and its two parts: what names the record, and what proves that it was issued. */
export interface ParsedId {
  readonly id: string;
  readonly handle: string;
  readonly secret: string;
}

/** An id and its parts, or undefined if the text has not the form of one (S4). */
export function parseId(id: unknown): ParsedId | undefined {
  if (typeof id !== 'string') return undefined;
  if (ISSUED.test(id)) return { id, handle: id.slice(0, 22), secret: id.slice(23) };
  return OWN.test(id) ? { id, handle: handleOfOwnId(id), secret: id } : undefined;
}

/** Whether an application may give a session this id: 22 to 256 cookie-safe characters. */
export function isOwnId(id: unknown): id is string {
  return typeof id === 'string' && id.length <= 256 && parseId(id) !== undefined;
}

/** Whether this has the shape of a handle. */
export function isHandle(handle: unknown): handle is string {
  return typeof handle === 'string' && /^[\w-]{22}$/.test(handle);
}

/** A new random handle: 16 bytes, which is 22 base64url characters. */
export function newHandle(): string {
  return randomBytes(16).toString('base64url');
}

/**
 * A new secret from the application's `generateId`.
 *
 * @throws {SessionError} if it has not 22 to 256 cookie-safe characters
 */
export function newSecret(generateId: () => string): string {
  const secret: unknown = generateId();
  if (typeof secret === 'string' && OWN.test(secret)) return secret;
  throw new SessionError(
    'generateId must return 22 to 256 characters of A–Z a–z 0–9 . _ ~ -; got ' +
      (typeof secret === 'string' ? `${secret.length} characters` : `a ${typeof secret}`) +
      '. Nothing was stored.',
  );
}

/** What is stored of a secret: its SHA-256, 43 base64url characters. */
export function proofOf(secret: string): string {
  return hash('sha256', secret, 'base64url');
}

const expected = new Uint8Array(43);
const actual = new Uint8Array(43);

/** Whether a secret is the one a proof was made of, compared in constant time (S9). */
export function proves(secret: string, proof: string): boolean {
  if (proof.length !== 43) return false;
  const its = proofOf(secret);
  // Two calls of Buffer.write take ten times as long.
  for (let i = 0; i < 43; i++) {
    expected[i] = proof.charCodeAt(i);
    actual[i] = its.charCodeAt(i);
  }
  return timingSafeEqual(expected, actual);
}

/** What stands for a user where sessions are locked: no session has this handle. */
export function lockOfUser(userId: string): string {
  return hash('sha256', `user:${userId}`, 'buffer').toString('base64url', 0, 16);
}

/** Not the same hash as the proof, which must not follow from the public handle. */
function handleOfOwnId(id: string): string {
  return hash('sha256', `handle:${id}`, 'buffer').toString('base64url', 0, 16);
}
