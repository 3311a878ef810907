import { Random } from './random.js';

/** What can be done, and how often it is among other things. */
const DEEDS = {
  // A request comes, a worker loads a session, somebody makes one.
  request: 14,
  load: 4,
  create: 1,
  // What a handler does.
  get: 4,
  set: 12,
  push: 4,
  remove: 3,
  flash: 2,
  save: 8,
  start: 1,
  tap: 8,
  locked: 4,
  regenerate: 5,
  login: 5,
  logout: 3,
  expireIn: 3,
  // How its response goes out.
  respond: 10,
  flushHeaders: 1,
  leave: 1,
  // What happens beside.
  tapById: 3,
  destroy: 1,
  revoke: 1,
  destroyByUser: 1,
  purge: 1,
  loseLock: 1,
  pass: 4,
} as const;

export type Deed = keyof typeof DEEDS;

/**
 * One operation. What it means of each number, the deed decides. Nothing in it depends on another operation, so that
 * any of them can be left out.
 */
export interface Operation {
  readonly deed: Deed;
  /** The turn in which it is begun. */
  readonly at: number;
  /** Decides how long the storage takes over its calls, and which of them fail. */
  readonly seed: number;
  /** Which of the holders does it, or comes. */
  readonly holder: number;
  readonly node: number;
  /** Chooses a key, a user, an id or a time. */
  readonly pick: number;
  /** It does not wait until the holder is through with what it was at. */
  readonly beside: boolean;
  /** The storage does all of its calls, and fails none. */
  readonly calm: boolean;
}

export interface History {
  readonly seed: number;
  /** The storage answers some turns later, or at once. */
  readonly later: boolean;
  /** How probable it is that a call of the storage fails. */
  readonly faults: number;
  readonly operations: readonly Operation[];
}

export const HOLDERS = 4;
export const USERS = ['ada', 'grace'] as const;
export const KEYS = ['a', 'b'] as const;

const MINUTE = 60_000;
/** Nothing is due, a touch is due, the idle deadline has passed, the absolute one has. */
const TIMES = [1_000, 2 * MINUTE, 2 * MINUTE, 20 * MINUTE, 50 * MINUTE, 61 * MINUTE, 5 * 60 * MINUTE];

export const timeOf = ({ pick }: Operation): number => TIMES[pick % TIMES.length]!;
export const userOf = ({ pick }: Operation): string => USERS[pick % USERS.length]!;
export const keyOf = ({ pick }: Operation): string => KEYS[pick % KEYS.length]!;
/** Idle timeouts of a session's own, in seconds: shorter and longer than the application's. */
export const ttlOf = ({ pick }: Operation): number => [600, 1_800, 7_200, 36_000][pick % 4]!;

/** A random history. */
export function plan(seed: number, length = 10 + new Random(~seed).below(40)): History {
  const random = new Random(seed);
  const later = random.chance(0.8);
  const faults = random.chance(0.4) ? 0.08 : 0;
  const operation = (deed: Deed, at: number): Operation => ({
    deed,
    at,
    seed: random.below(2 ** 31),
    holder: random.below(HOLDERS),
    node: random.below(2),
    pick: random.below(2 ** 16),
    beside: random.chance(0.15),
    calm: false,
  });
  const operations = [operation('create', 0)];
  for (let at = 10; operations.length < length; at += random.below(8))
    operations.push(operation(random.weighted(DEEDS), at));
  return { seed, later, faults, operations };
}

/** A history as people read it. */
export function tell({ seed, later, faults, operations }: History): string {
  const kind = later ? 'answers later' : 'answers at once';
  const lines = operations.map((operation) => {
    const { deed, at, holder, node, beside, calm } = operation;
    const who = OF_HOLDERS.has(deed) ? `holder ${holder}: ` : '';
    const where = ON_NODES.has(deed) ? ` on node ${node}` : '';
    return `  turn ${String(at).padStart(3)}  ${who}${deed}${detail(operation)}${where}${beside ? ', at once' : ''}${calm || faults === 0 ? '' : ', calls may fail'}`;
  });
  return `seed ${seed}: a storage that ${kind}${faults === 0 ? '' : ` and fails ${faults * 100} % of the calls`}\n${lines.join('\n')}`;
}

const ON_NODES = new Set<Deed>([
  'request',
  'load',
  'create',
  'tapById',
  'destroy',
  'revoke',
  'destroyByUser',
  'purge',
]);
const OF_HOLDERS = new Set<Deed>(
  (Object.keys(DEEDS) as Deed[]).filter(
    (deed) => !ON_NODES.has(deed) && deed !== 'loseLock' && deed !== 'pass',
  ),
)
  .add('request')
  .add('load');

function detail(operation: Operation): string {
  switch (operation.deed) {
    case 'set':
    case 'remove':
    case 'get':
      return ` ${keyOf(operation)}`;
    case 'login':
    case 'destroyByUser':
      return ` ${userOf(operation)}`;
    case 'expireIn':
      return ` ${ttlOf(operation)} s`;
    case 'pass':
      return ` ${timeOf(operation) / MINUTE} min`;
    default:
      return '';
  }
}
