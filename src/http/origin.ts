import { isOptions, oneOf, type OptionRule, type OptionRules, show } from '../rules.js';

/** Which requests from elsewhere are let in, in full. */
export interface CrossOriginOptions {
  /**
   * Other origins whose pages may send requests: `'https://app.example.com'`, `'capacitor://localhost'`. Letter case
   * and default ports make no difference. Default none.
   */
  trustedOrigins?: readonly string[] | undefined;
  /** `'log'`: what would be refused is let in, and said in the log. Default `'refuse'`. */
  mode?: 'refuse' | 'log' | undefined;
}

/** {@link CrossOriginOptions} once they are checked. */
export interface CrossOriginSettings {
  readonly mode: 'refuse' | 'log' | 'allow';
  /** As {@link normalOrigin} writes them. */
  readonly trustedOrigins: ReadonlySet<string>;
}

/** What a list of trusted origins takes. */
export const trustedOriginsRule: OptionRule = {
  takes:
    'a list of origins such as "https://app.example.com", each a scheme, a host and a port, without a wildcard',
  accepts: (value) => Array.isArray(value) && value.every((one) => isOrigin(one)),
  shows: (value) =>
    Array.isArray(value) ? showWrongOrigin(value.find((one) => !isOrigin(one))) : show(value),
};

const MEMBERS = {
  trustedOrigins: trustedOriginsRule,
  mode: oneOf('refuse', 'log'),
} satisfies OptionRules<CrossOriginOptions>;

const WORD = oneOf('refuse', 'log', 'allow');

/** What the option `crossOrigin` takes. */
export const crossOriginRule: OptionRule = {
  takes: `${WORD.takes} or an object with trustedOrigins and mode`,
  accepts: (value) => isOptions(value) || WORD.accepts(value),
  members: MEMBERS,
};

/** Fills in the defaults of an option that is checked. */
export function resolveCrossOrigin(
  option: CrossOriginSettings['mode'] | CrossOriginOptions,
): CrossOriginSettings {
  const { mode = 'refuse', trustedOrigins = [] } = typeof option === 'string' ? { mode: option } : option;
  return { mode, trustedOrigins: originsOf(trustedOrigins) };
}

/** A checked list of origins as {@link normalOrigin} writes them. */
export const originsOf = (trustedOrigins: readonly string[]): ReadonlySet<string> =>
  new Set(trustedOrigins.map((one) => normalOrigin(one)!));

/** Scheme and something after it that has no user, path, query, fragment, wildcard or escape in it. */
const SHAPE = /^[a-z][a-z\d+.-]*:\/\/[^\s/\\?#@*%]+$/i;
/** A host in ASCII: a name, or an IPv6 address. */
const HOST = /^([\w.~-]+|\[[\da-f:.]+\])$/i;

/**
 * An origin as all its spellings come out: in small letters, without a default port, names in ASCII. Undefined if the
 * text is none, as `null` is, and anything with a user, a path, a query or a wildcard (RFC 6454 §6.2).
 *
 * @param text an `Origin` header, or what an application wrote
 */
export function normalOrigin(text: string): string | undefined {
  if (!SHAPE.test(text) || text.endsWith(':') || !URL.canParse(text)) return undefined;
  // Only of the schemes of the web does URL know the case of hosts, and default ports.
  const { protocol, hostname, port } = new URL(text);
  if (!HOST.test(hostname)) return undefined;
  return `${protocol}//${hostname.toLowerCase()}${port && `:${port}`}`;
}

const isOrigin = (value: unknown): boolean => typeof value === 'string' && normalOrigin(value) !== undefined;

/** An origin that is none, as a message shows it: a user, a password and a query may be secrets. */
function showWrongOrigin(value: unknown): string {
  if (typeof value !== 'string') return `${show(value)} in the list`;
  if (value.includes('@')) return 'one with a user or a password';
  const shown = show(value.replace(/[?#].+$/s, '?…'));
  return value.endsWith('/') && isOrigin(value.slice(0, -1))
    ? `${shown}: leave out the "/" at its end`
    : shown;
}
