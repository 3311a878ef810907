import { isWellFormed } from './encoding.js';
import type { Dialect } from './dialects/dialect.js';
import type { UserIdType } from './options.js';
import type { Row } from './port.js';

/** As an index of any of the databases can hold it. */
const MAX_LENGTH = 512;
const MAX_BIGINT = 9_223_372_036_854_775_807n;

/** PostgreSQL's text takes no NUL: it and the mark itself are written as the mark and two hexadecimal digits. */
const SPECIAL = /[\0\x7f]/g;

/** Users as a column of one type holds them: one text a user, and never two users as one (S59). */
interface UserIds {
  /** Why a user cannot be in the column, or undefined if it can. */
  problem(userId: string): string | undefined;
  encode(userId: string): string;
  decode(column: string): string;
}

const same = (text: string): string => text;

const USER_IDS: Readonly<Record<UserIdType, UserIds>> = {
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

/** The column of the users: its type, in its database. */
export class UserColumn {
  private readonly ids: UserIds;

  constructor(
    type: UserIdType,
    private readonly dialect: Dialect,
  ) {
    this.ids = USER_IDS[type];
  }

  /** Whether somebody, or nobody, can be in the column. */
  canHold(userId: string | null | undefined): boolean {
    return typeof userId !== 'string' || this.ids.problem(userId) === undefined;
  }

  /** @throws {Error} if the column cannot hold the user */
  check(userId: string): void {
    const problem = this.ids.problem(userId);
    // Never the id itself: it may be somebody's address.
    if (problem !== undefined) throw new Error(`SqlStorage: the user id ${problem}; nothing was stored.`);
  }

  /** A user for the place of a statement. */
  readonly value = (userId: string): string => this.dialect.userValue(this.ids.encode(userId));

  /**
   * The user of a row.
   *
   * @throws {Error} if it is no text
   */
  of({ user_id: user }: Row): string | undefined {
    if (user === null || user === undefined) return undefined;
    if (typeof user !== 'string') throw new Error('no text');
    return this.ids.decode(this.dialect.userOf(user));
  }
}
