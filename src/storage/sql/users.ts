import { isWellFormed } from './encoding.js';
import type { UserIdType } from './options.js';

/** As an index of any of the databases can hold it. */
const MAX_LENGTH = 512;
const MAX_BIGINT = 9_223_372_036_854_775_807n;

/** PostgreSQL's text takes no NUL: it and the mark itself are written as the mark and two hexadecimal digits. */
const SPECIAL = /[\0\x7f]/g;

/** Users as the column of one type holds them: one text a user, and never two users as one (S59). */
export interface UserIds {
  /** Why a user cannot be in the column, or undefined if it can. */
  problem(userId: string): string | undefined;
  encode(userId: string): string;
  decode(column: string): string;
}

const same = (text: string): string => text;

export const USER_IDS: Readonly<Record<UserIdType, UserIds>> = {
  text: {
    problem(userId) {
      if (userId === '') return 'is empty';
      if (!isWellFormed(userId)) return 'is no well-formed Unicode';
      return userId.length > MAX_LENGTH && [...userId].length > MAX_LENGTH
        ? `is longer than ${MAX_LENGTH} characters`
        : undefined;
    },
    encode: (userId) => userId.replace(SPECIAL, (char) => (char === '\0' ? '\x7f00' : '\x7f7f')),
    decode: (column) =>
      column.includes('\x7f')
        ? column.replace(/\x7f(00|7f)/g, (_, digits) => (digits === '00' ? '\0' : '\x7f'))
        : column,
  },
  uuid: {
    problem: (userId) =>
      /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(userId)
        ? undefined
        : 'is no UUID in lower case, as the option userId: "uuid" demands',
    encode: same,
    decode: same,
  },
  bigint: {
    problem: (userId) =>
      /^(?:0|-?[1-9]\d{0,18})$/.test(userId) && inBigint(BigInt(userId))
        ? undefined
        : 'is no whole number of 64 bits in plain digits, as the option userId: "bigint" demands',
    encode: same,
    decode: same,
  },
};

const inBigint = (n: bigint): boolean => n <= MAX_BIGINT && n >= -MAX_BIGINT - 1n;
