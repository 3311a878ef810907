import ms from 'ms';
import { SessionOptionsError } from './errors.js';

/** Seconds, or a string as the `ms` package reads it: `'30m'`, `'1h'`, `'14 days'`. */
export type Duration = number | string;

/** What one option takes. An option that is not given, or `undefined`, is not asked about. */
export interface OptionRule {
  /** In words; a message puts "must be" before it. */
  readonly takes: string;
  readonly accepts: (value: unknown) => boolean;
  /** The rules of its members, where its value is an object of options. */
  readonly members?: Readonly<Record<string, OptionRule>>;
  /** How a message shows a wrong value. Default {@link show}; {@link kindOf} where it may be a secret, or hold one. */
  readonly shows?: (value: unknown) => string;
}

/** A rule for every option of a `T`: one that is forgotten is a type error. */
export type OptionRules<T> = { readonly [K in keyof T]-?: OptionRule };

/** Collects what is wrong with options, one thing for each, so that one error tells all of it. */
export class OptionCheck {
  private readonly problems = new Map<string, string>();

  /** @param owner what takes the options; messages start with it */
  constructor(private readonly owner: string) {}

  /**
   * A copy of the options that a table knows; what is wrong with them is noted. What stands on `Object.prototype` is
   * no option. Until {@link finish}, a value may be any.
   *
   * @param path what a message puts before the name of an option: `'cookie.'`
   */
  read<T extends object>(options: unknown, rules: OptionRules<T>, path = ''): T {
    if (!isOptions(options)) {
      this.fail('the options', 'must be an object', kindOf(options));
      return {} as T;
    }
    const names = Object.keys(rules);
    for (const name of Object.keys(options)) {
      if (!names.includes(name)) this.problems.set(path + name, unknownOption(name, names, path));
    }
    return Object.fromEntries(
      names.map((name) => [name, this.member(options, name, rules[name as keyof T], path + name)]),
    ) as T;
  }

  /** Notes a problem, unless there is one with this option already. */
  fail(option: string, problem: string, got: string): void {
    if (!this.problems.has(option)) this.problems.set(option, `${option} ${problem}; got ${got}`);
  }

  /** @throws {SessionOptionsError} if anything is wrong */
  finish(): void {
    if (this.problems.size === 0) return;
    const lines = [...this.problems.values()].map((problem) => `${this.owner}: ${problem}`);
    throw new SessionOptionsError(lines.join('\n'));
  }

  private member(options: object, name: string, rule: OptionRule, path: string): unknown {
    const value = (options as Record<string, unknown>)[name];
    const inherited = (Object.prototype as unknown as Record<string, unknown>)[name];
    if (value === undefined || (value === inherited && !Object.hasOwn(options, name))) return undefined;
    if (!rule.accepts(value)) this.fail(path, `must be ${rule.takes}`, (rule.shows ?? show)(value));
    else if (rule.members && isOptions(value)) return this.read(value, rule.members, `${path}.`);
    return value;
  }
}

/**
 * The options that were given, once they are checked: a copy.
 *
 * @param owner what takes them: `'MemoryStorage'`
 * @throws {SessionOptionsError} one error that names every wrong option, what it got and what it takes
 */
export function checkedOptions<T extends object>(owner: string, options: T, rules: OptionRules<T>): T {
  const check = new OptionCheck(owner);
  const given = check.read(options, rules);
  check.finish();
  return given;
}

/** An object of options: no list, no Map, no promise, all of which have no options to say. */
export const isOptions = (value: unknown): value is object =>
  /^\[object (Object|Module)\]$/.test(Object.prototype.toString.call(value));

/** Milliseconds of a {@link Duration}; NaN if it is none. */
export function milliseconds(value: unknown): number {
  // ms() throws for an empty string, and for one of more than 100 characters.
  const readable = typeof value === 'string' && value !== '' && value.length <= 100;
  const time = typeof value === 'number' ? value * 1_000 : readable ? ms(value as ms.StringValue) : NaN;
  // The upper bound keeps every deadline a valid Date.
  return time >= 0 && time <= 1e14 ? time : NaN;
}

export const duration: OptionRule = {
  takes: "a number of seconds > 0 or a duration such as '30m'",
  accepts: (value) => milliseconds(value) > 0,
};

export const durationOrZero: OptionRule = {
  takes: "a number of seconds >= 0 or a duration such as '30m'",
  accepts: (value) => milliseconds(value) >= 0,
};

/** A duration that one of Node's timers can wait for. */
export const timerDuration: OptionRule = {
  takes: `${duration.takes}, at most 24 days`,
  accepts: (value) => duration.accepts(value) && milliseconds(value) <= 2_147_483_647,
};

export const oneOf = (...values: readonly (string | boolean)[]): OptionRule => ({
  takes: values.map(show).join(' or '),
  accepts: (value) => values.includes(value as string),
});

export const flag = oneOf(true, false);

/** @param what is counted: `'bytes'` */
export const wholeNumber = (what?: string): OptionRule => ({
  takes: `a whole number ${what === undefined ? '' : `of ${what} `}> 0`,
  accepts: (value) => Number.isSafeInteger(value) && (value as number) > 0,
});

/** @param does goes on after "a function that": `'returns a string'` */
export const functionThat = (does: string): OptionRule => ({
  takes: `a function that ${does}`,
  accepts: (value) => typeof value === 'function',
});

/**
 * Milliseconds of a duration that is an argument rather than an option.
 *
 * @param name what the message calls it: `'login: ttl'`
 * @throws {SessionOptionsError} if it is no positive duration
 */
export function parseDuration(name: string, value: unknown): number {
  if (duration.accepts(value)) return milliseconds(value);
  throw new SessionOptionsError(`${name} must be ${duration.takes}; got ${show(value)}`);
}

/**
 * A warning about a duration that is sound but hardly meant: milliseconds given as seconds, or the other way round.
 *
 * A number is doubted if it is greater than `longest`, or a whole number of minutes in milliseconds, which no usual
 * number of seconds is: an hour is 3,600,000. Whoever means it can write it as a text with a unit.
 *
 * @param longest in seconds
 */
export function doubtOf(option: string, value: unknown, longest: number): string | undefined {
  if (typeof value === 'string' && /^\s*[\d.]+\s*$/.test(value)) {
    return `${option}: ${show(value)} has no unit and counts as milliseconds; a number counts as seconds`;
  }
  if (typeof value !== 'number' || value === 0 || (value <= longest && value % 60_000 !== 0))
    return undefined;
  return (
    `${option}: ${value} counts as seconds, which is ${ms(value * 1_000, { long: true })}; ` +
    `if milliseconds were meant, write '${ms(value)}', else '${ms(value * 1_000)}'`
  );
}

/** A value as a message shows it: at most the start of a text, and of an object no more than its kind. */
export function show(value: unknown): string {
  if (typeof value === 'string')
    return JSON.stringify(value.length > 100 ? `${value.slice(0, 100)}…` : value);
  return value !== null && ['object', 'function'].includes(typeof value) ? kindOf(value) : String(value);
}

/** A value by its kind alone: what may be a secret, or hold one, is never shown. */
export function kindOf(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`;
  if (value === '') return 'an empty string';
  if (value === null || value === undefined) return String(value);
  const kind = isOptions(value) ? 'object' : typeof value;
  // A Map, a Date, a Promise: that it is an object would not say what is wrong with it.
  const name = kind === 'object' ? Object.prototype.toString.call(value).slice(8, -1) : kind;
  return name === 'Object' ? 'an object' : `a${/^[AEIO]/.test(name) ? 'n' : ''} ${name}`;
}

function unknownOption(name: string, names: readonly string[], path: string): string {
  const meant = names.find((one) => isNear(name.toLowerCase(), one.toLowerCase()));
  const hint = meant === undefined ? '' : ` (did you mean ${path}${meant}?)`;
  return `${path}${name} is not an option${hint}; there are ${names.map((one) => path + one).join(', ')}`;
}

/** Whether two names are at most two letters apart, and not a half of the shorter one or more (Levenshtein). */
function isNear(a: string, b: string): boolean {
  let above = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      row[j] = Math.min(above[j]! + 1, row[j - 1]! + 1, above[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    above = row;
  }
  return above[b.length]! <= Math.min(2, Math.min(a.length, b.length) / 2);
}
