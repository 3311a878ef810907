import { validateCronExpression } from 'cron';
import ms from 'ms';
import { SessionOptionsError } from './errors.js';

/** Seconds, or a string as the `ms` package reads it: `'30m'`, `'1h'`, `'14 days'`. */
export type Duration = number | string;

/**
 * Milliseconds of a duration.
 *
 * @throws {SessionOptionsError} naming `option` if it is no positive duration
 */
export function parseDuration(option: string, value: unknown, { zero = false } = {}): number {
  // ms() throws for an empty string, and for one of more than 100 characters.
  const readable = typeof value === 'string' && value !== '' && value.length <= 100;
  const time = typeof value === 'number' ? value * 1_000 : readable ? ms(value as ms.StringValue) : NaN;
  // The upper bound keeps every deadline a valid Date.
  if (Number.isFinite(time) && (time > 0 || (zero && time === 0)) && time <= 1e14) return time;
  throw new SessionOptionsError(
    `${option} must be a number of seconds ${zero ? '>= 0' : '> 0'} or a duration such as '30m'; got ${show(value)}`,
  );
}

/** Collects what is wrong, so that one error tells all of it. */
export class Check {
  private readonly problems: string[] = [];

  fail(option: string, rule: string, got: unknown, shown = show(got)): void {
    this.problems.push(`${option} ${rule}; got ${shown}`);
  }

  known<K extends string>(value: unknown, prefix: string, names: readonly K[]): { [key in K]?: any } {
    if (!isObject(value)) return {};
    for (const name of Object.keys(value)) {
      if ((names as readonly string[]).includes(name)) continue;
      this.problems.push(
        `${prefix}${name} is not an option; there are ${names.map((one) => prefix + one).join(', ')}`,
      );
    }
    return value as { [key in K]?: unknown };
  }

  value<T>(option: string, got: unknown, is: (got: unknown) => got is T, rule: string): T {
    if (!is(got)) this.fail(option, rule, got);
    return got as T;
  }

  optional<T>(option: string, got: unknown, is: (got: unknown) => got is T, rule: string): T | undefined {
    return got === undefined ? undefined : this.value(option, got, is, rule);
  }

  duration(option: string, got: unknown, how?: { zero: boolean }): number {
    try {
      return parseDuration(option, got, how);
    } catch (error) {
      this.problems.push((error as Error).message);
      return NaN;
    }
  }

  /** A duration that a timer can wait for. */
  timer(option: string, got: unknown): number {
    const time = this.duration(option, got);
    if (time > 2_147_483_647) this.fail(option, 'must be at most 24 days', got);
    return time;
  }

  finish(): void {
    if (this.problems.length === 0) return;
    throw new SessionOptionsError(`SessionModule: ${this.problems.join('\nSessionModule: ')}`);
  }
}

export const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
export const isFunction = <T extends (...args: any[]) => any>(value: unknown): value is T =>
  typeof value === 'function';
export const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) > 0;
export const isCron = (value: unknown): value is string =>
  typeof value === 'string' && validateCronExpression(value).valid;
export const isCodec = (value: unknown): value is any =>
  isObject(value) && isFunction((value as any).encode) && isFunction((value as any).decode);

export function kindOf(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`;
  if (value === '') return 'an empty string';
  return value === null ? 'null' : `a ${typeof value}`;
}

export function show(value: unknown): string {
  if (typeof value === 'string')
    return JSON.stringify(value.length > 100 ? `${value.slice(0, 100)}…` : value);
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object';
  return typeof value === 'function' ? 'a function' : String(value);
}

/** Only what is not given has a default: null is wrong, and no way to say nothing. */
export function orDefault<T>(given: T, standard: NonNullable<T>): NonNullable<T> {
  return given === undefined ? standard : (given as NonNullable<T>);
}
