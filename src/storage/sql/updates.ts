import { setImmediate } from 'node:timers';
import { after, type Awaitable } from '../../awaitable.js';
import type { SessionRecord } from '../record.js';
import type { Expectation, SessionChange, UpdateResult } from '../session-storage.js';
import type { Attempts } from './attempts.js';
import { changesNothing, isAsExpected } from './changes.js';
import type { Dialect, SqlError } from './dialects/dialect.js';
import { encodeText } from './encoding.js';
import type { Value } from './port.js';
import { NO_NUMBER, NO_TEXT, whole } from './record-row.js';
import { BATCH } from './statements.js';
import type { UserColumn } from './users.js';

/** Characters of a change from which on it goes by itself: one statement is to stay small. */
const LARGE = 16_384;

type Values = Record<string, Value>;

/** A change that waits to be sent with others. */
interface Waiter {
  readonly change: SessionChange;
  readonly values: Values;
  resolve(result: Awaitable<UpdateResult>): void;
  reject(error: unknown): void;
}

/**
 * Changes of records, each made by one conditional statement.
 *
 * Where the database can say which of many it has made, those of one turn of the event loop go out as one statement:
 * one way there and back and one commit for all of them. It waits for no lock, so that no session has to wait for
 * another; whoever it did not change is changed by a statement of its own, and learns there why not.
 */
export class Updates {
  private waiting = new Map<string, Waiter>();

  constructor(
    private readonly attempts: Attempts,
    private readonly dialect: Dialect,
    private readonly users: UserColumn,
    private readonly read: (handle: string) => Awaitable<SessionRecord | undefined>,
    private readonly now: () => number,
  ) {}

  make(handle: string, change: SessionChange): Awaitable<UpdateResult> {
    const { lease, userId, expected = {} } = change;
    if (!this.users.canHold(expected.userId)) return this.whyNot(handle, change);
    const values = this.valuesOf(handle, change);
    // Two changes of one session are two statements. A user may have to be looked up in a table of the application.
    const alone =
      !this.dialect.updateMany ||
      lease !== undefined ||
      typeof userId === 'string' ||
      this.waiting.has(handle) ||
      String(values['patch']).length > LARGE;
    if (alone) return this.makeAlone(change, values);
    return new Promise((resolve, reject) => {
      const { size } = this.waiting.set(handle, { change, values, resolve, reject });
      if (size === 1) setImmediate(() => this.send());
      else if (size === BATCH) this.send();
    });
  }

  private send(): void {
    const waiting = [...this.waiting.values()];
    this.waiting.clear();
    const started = performance.now();
    const alone = ({ change, values, resolve }: Waiter) => {
      const left = Math.max(1, this.attempts.timeout - (performance.now() - started));
      resolve(this.makeAlone(change, values, left));
    };
    if (waiting.length < 2) return waiting.forEach(alone);
    const handles = this.dialect.handlesValue([...waiting].map(({ values }) => String(values['handle'])));
    const changes = JSON.stringify(waiting.map(({ values }) => values));
    const made = this.attempts.run(this.dialect.updateMany!, { handles, changes, now: this.now() });
    Promise.resolve(made).then(
      ({ rows }) => {
        const changed = new Set(rows.map((row) => row['handle']));
        for (const waiter of waiting)
          if (changed.has(waiter.values['handle'])) waiter.resolve('ok');
          else alone(waiter);
      },
      (error: unknown) => {
        // One of them is to blame, and none was made.
        if (this.dialect.isRefusal?.(error as SqlError)) waiting.forEach(alone);
        else for (const { reject } of waiting) reject(error);
      },
    );
  }

  private makeAlone(change: SessionChange, values: Values, timeout?: number): Awaitable<UpdateResult> {
    const { lease: token, remove = [] } = change;
    const statement = this.dialect.update(remove.length, token !== undefined);
    const made = this.attempts.run(statement, { ...values, now: this.now(), token: token ?? null }, timeout);
    return after(made, ({ affected }) =>
      affected > 0 ? 'ok' : this.whyNot(String(values['handle']), change),
    );
  }

  /** The rare case that no row was changed: there is none, or it was not as expected, or it was like that before. */
  private whyNot(handle: string, change: SessionChange): Awaitable<UpdateResult> {
    const { lease: token, expected } = change;
    return after(this.read(handle), (record): Awaitable<UpdateResult> => {
      if (!record) return 'gone';
      return after(this.holdsLease(handle, token), (holds): UpdateResult => {
        if (!holds) return 'lost';
        if (!isAsExpected(record, expected)) return 'conflict';
        // Some drivers count only rows that an update left different.
        if (changesNothing(record, change)) return 'ok';
        // By now it is as it should be. When the statement ran it was not; or, where nothing is expected, not there.
        const expects = Object.values(expected ?? {}).some((value) => value !== undefined);
        return expects ? 'conflict' : 'gone';
      });
    });
  }

  private holdsLease(handle: string, token: string | undefined): Awaitable<boolean> {
    if (token === undefined) return true;
    const values = { handle, token, now: this.now() };
    return after(this.attempts.run(this.dialect.statements.holds, values), ({ rows }) => rows.length > 0);
  }

  private valuesOf(handle: string, change: SessionChange): Values {
    const { set, remove = [], proof, touchedAt, expiresAt, authenticatedAt, ttl, client, userId } = change;
    return {
      handle,
      ...this.dialect.dataValues(set, remove),
      proof: proof ?? null,
      touchedAt: numberOf(touchedAt),
      expiresAt: numberOf(expiresAt),
      authenticatedAt: numberOf(authenticatedAt),
      ttl: numberOf(ttl),
      client: textOf(client, encodeText),
      user: textOf(userId, this.users.value),
      ...expectationValues(change.expected, this.users),
    };
  }
}

/** Values for the places of what is expected. */
export function expectationValues({ proof, ttl, userId }: Expectation = {}, users: UserColumn): Values {
  return {
    expectedProof: proof ?? null,
    expectedTtl: numberOf(ttl),
    expectedUser: textOf(userId, users.value),
  };
}

/** Absent: nothing is said of it; null: there is none. */
const numberOf = (value: number | null | undefined): number | null =>
  value === null ? NO_NUMBER : value === undefined ? null : whole(value);

const textOf = (value: string | null | undefined, write: (value: string) => string): string | null =>
  value === null ? NO_TEXT : value === undefined ? null : write(value);
