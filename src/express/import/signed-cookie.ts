import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import type { DerivedNames } from '../../http/importer.js';
import { type CookieRequest, rawOf } from '../../http/request.js';

/** What cookies are signed with. */
export type SigningSecret = string | Uint8Array | KeyObject;

/** More sessions than this in one request count as none (S55). */
const MAX_COOKIES = 8;

/** How a library writes its cookie: `<prefix><id>.<signature>`. */
export interface CookieFormat {
  readonly cookieName: string;
  readonly prefix: string;
  /** Of the HMAC whose base64, without padding, is the signature. */
  readonly algorithm: string;
  readonly secrets: readonly SigningSecret[];
}

/** An id whose signature is sound, and the secret that says so. */
export interface VerifiedId {
  readonly sid: string;
  readonly secret: SigningSecret;
}

/** The ids of a library that a request brings, each once. What is not signed, or by others, is none (S9). */
export function verifiedIds(request: CookieRequest, format: CookieFormat): VerifiedId[] {
  const { cookie: header } = rawOf(request).headers;
  const found: VerifiedId[] = [];
  if (header === undefined || !header.includes(format.cookieName)) return found;
  for (const part of header.split(';')) {
    const pair = part.trim();
    // Byte for byte (S45): a name in other letters, or with more behind it, is another cookie.
    if (!pair.startsWith(format.cookieName) || pair[format.cookieName.length] !== '=') continue;
    const verified = verify(decoded(pair.slice(format.cookieName.length + 1)), format);
    if (!verified || found.some(({ sid }) => sid === verified.sid)) continue;
    if (found.push(verified) > MAX_COOKIES) return [];
  }
  return found;
}

/** What is made of an id with a secret: nobody who lacks either could make it, and it is the same each time. */
export function derive(sid: string, secret: SigningSecret): DerivedNames {
  // Not what is signed: the signature is in the cookie.
  const bytes = createHmac('sha512', secret).update(`nest-sessions import\0${sid}`).digest();
  const part = (start: number, end: number) => bytes.toString('base64url', start, end);
  return { id: `${part(0, 16)}.${part(16, 48)}`, marker: part(48, 64) };
}

function verify(value: string, { prefix, algorithm, secrets }: CookieFormat): VerifiedId | undefined {
  const at = value.lastIndexOf('.');
  if (!value.startsWith(prefix) || at <= prefix.length) return undefined;
  const sid = value.slice(prefix.length, at);
  const given = Buffer.from(value.slice(at + 1));
  for (const secret of secrets) {
    const digest = createHmac(algorithm, secret).update(sid).digest('base64');
    const expected = Buffer.from(digest.replace(/=+$/, ''));
    if (given.length === expected.length && timingSafeEqual(given, expected)) return { sid, secret };
  }
  return undefined;
}

function decoded(value: string): string {
  const bare = value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
  try {
    return decodeURIComponent(bare);
  } catch {
    return bare;
  }
}
