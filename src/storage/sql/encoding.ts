import { RecordData } from '../record.js';
import type { SessionChange } from '../session-storage.js';

/**
 * How data lies in the JSON column: an object of texts, in ASCII. So the character set of a connection changes
 * nothing. PostgreSQL's JSON takes no NUL and no lone surrogate: in values, they and the mark below are written
 * as the mark and four hexadecimal digits. Keys have nothing at all that a database may read in its own way.
 */
const MARK = '\x7f';
const PLAIN_KEY = /^(?!-)[ !#-[\]-}]+$/;

type Data = Readonly<Record<string, string>>;

export function encodeData(data: Data): string {
  return `{${Object.keys(data)
    .map((key) => `"${encodeKey(key)}":${encodeText(data[key])}`)
    .join(',')}}`;
}

/** What a merge patch (RFC 7396) makes of the column: `null` removes. Undefined if nothing changes. */
export function encodePatch(set: SessionChange['set'], remove: readonly string[]): string | null {
  let patch = '';
  if (set) for (const key of Object.keys(set)) patch += `,"${encodeKey(key)}":${encodeText(set[key])}`;
  for (const key of remove) patch += `,"${encodeKey(key)}":null`;
  return patch === '' ? null : `{${patch.slice(1)}}`;
}

/** One text as a JSON string. */
export function encodeText(text: string): string {
  const json = JSON.stringify(/[\0\x7f]/.test(text) || !isWellFormed(text) ? marked(text) : text);
  return /[^\0-\x7f]/.test(json) ? json.replace(/[^\0-\x7f]/g, escaped) : json;
}

/** @throws {Error} if it is none of {@link encodeText} */
export function decodeText(json: string): string {
  return unmarked(checkText(JSON.parse(json)));
}

/**
 * @param column a text, its bytes, or what a driver made of it
 * @throws {Error} if it is no object of texts
 */
export function decodeData(column: unknown): Record<string, string> {
  const parsed: unknown =
    typeof column === 'string' || Buffer.isBuffer(column) ? JSON.parse(String(column)) : column;
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw new Error('no object');
  const data = new RecordData();
  for (const key of Object.keys(parsed)) {
    data[key.includes('~') ? decodeKey(key) : key] = unmarked(checkText((parsed as Data)[key]));
  }
  return data;
}

function checkText(value: unknown): string {
  if (typeof value === 'string') return value;
  throw new Error('no text');
}

/**
 * A key without control characters, quotes, backslashes or anything beyond ASCII; the empty one is `~`. A hyphen in
 * front is nothing that MariaDB takes in a path.
 */
export function encodeKey(key: string): string {
  if (PLAIN_KEY.test(key)) return key;
  return key === '' ? '~' : key.replace(/^-|[^ !#-[\]-}]/g, (char) => `~${hex(char)}`);
}

const decodeKey = (key: string): string =>
  key.replace(/~(?:([0-9a-f]{4})|$)/g, (_, digits) => charOf(digits));

const marked = (text: string): string =>
  text.replace(
    /[\0\x7f]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g,
    (char) => MARK + hex(char),
  );

const unmarked = (text: string): string =>
  text.includes(MARK) ? text.replace(/\x7f([0-9a-f]{4})/g, (_, digits) => charOf(digits)) : text;

const hex = (char: string): string => char.charCodeAt(0).toString(16).padStart(4, '0');
const charOf = (digits: string | undefined): string =>
  digits === undefined ? '' : String.fromCharCode(parseInt(digits, 16));
const escaped = (char: string): string => `\\u${hex(char)}`;

/** Node 20 has it, and the library that TypeScript is set to does not know it yet. */
export const isWellFormed = (text: string): boolean =>
  (text as unknown as { isWellFormed(): boolean }).isWellFormed();
