import { createHash } from 'node:crypto';
import type { Statement, Value } from './port.js';

/** The statements of a storage, as its dialect writes them: `:name` stands for a value. */
export interface StatementTexts {
  /** Looks at every column and finds nothing: fails if a table or a column is not there. */
  readonly look: string;
  readonly ping: string;
  /** Affects no row where the handle is taken, or fails with what the dialect calls a duplicate. */
  readonly create: string;
  /** Makes room for {@link create}: removes the record if it has expired. */
  readonly removeExpired: string;
  readonly read: string;
  /** Those of `:handles`. */
  readonly readMany: string;
  readonly destroy: string;
  readonly byUser: string;
  readonly alive: string;
  readonly list: string;
  readonly count: string;
  /** A batch of what may have expired, oldest first, locked where the database can: handle, user_id, expires_at. */
  readonly due: string;
  /** Removes those of `:handles` that have expired. */
  readonly removeDue: string;
  /** Files those of `:handles` that live under the deadline that they have by now. */
  readonly refileDue: string;
  readonly purgeLeases: string;
  /** Ways to take a lease that is free or has run out, tried in this order until one affects a row. */
  readonly acquire: readonly string[];
  readonly holds: string;
  readonly release: string;
}

export type Statements = {
  readonly [name in keyof StatementTexts]: StatementTexts[name] extends string
    ? Statement
    : readonly Statement[];
};

/** How many records one statement of a purge, or one page of a list, has at most: what it locks is locked briefly. */
export const BATCH = 500;

/** How a database writes the n-th place, counted from 1. */
export type PlaceStyle = 'numbered' | 'question marks';

/** Compiled once, when the storage is made. */
export function compileAll(texts: StatementTexts, style: PlaceStyle): Statements {
  const entries = Object.entries(texts).map(([name, text]) => [
    name,
    typeof text === 'string' ? compile(text, style) : text.map((each: string) => compile(each, style)),
  ]);
  return Object.fromEntries(entries) as Statements;
}

export function compile(source: string, style: PlaceStyle = 'question marks'): Statement {
  const places: string[] = [];
  const text = source
    .replace(/\s+/g, ' ')
    .trim()
    .replace(/(?<!:):([a-z]\w*)/gi, (_, name: string) => {
      if (style === 'question marks') return `${places.push(name) && '?'}`;
      const index = places.indexOf(name);
      return `$${index === -1 ? places.push(name) : index + 1}`;
    });
  const id = `nest_sessions_${createHash('sha256').update(text).digest('base64url').slice(0, 16)}`;
  return { text, places, id, rows: /^(select|with)\b|\breturning\b/i.test(text) };
}

export function valuesFor(statement: Statement, values: Readonly<Record<string, Value>>): Value[] {
  return statement.places.map((name) => values[name]);
}
