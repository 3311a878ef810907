import { kindOf } from '../../rules.js';

/** A store as express-session and `@fastify/session` take it. Whatever else it has is not asked for. */
export interface ConnectStore {
  get(sid: string, callback: (error?: any, session?: any) => void): unknown;
  set(sid: string, session: any, callback: (error?: any) => void): unknown;
  destroy(sid: string, callback: (error?: any) => void): unknown;
  all?(callback: (error?: any, sessions?: any) => void): unknown;
  length?(callback: (error?: any, length?: any) => void): unknown;
}

/** Whether this has what a store must have. A client of node-redis has it too, and means something else by it. */
export function isConnectStore(value: unknown): value is ConnectStore {
  return methodsMissing(value).length === 0 && !isRedisClient(value);
}

export const CONNECT_STORE = {
  takes: 'a store of express-session: an object with get, set and destroy, as new RedisStore(…) gives one',
  accepts: isConnectStore,
  shows: (value: unknown): string => {
    if (isRedisClient(value)) return 'a client of Redis, which RedisStorage of nest-sessions/redis takes';
    const missing = typeof value === 'object' && value !== null ? methodsMissing(value) : [];
    return `${kindOf(value)}${missing.length > 0 ? ` without ${missing.join(', ')}` : ''}`;
  },
};

const methodsMissing = (value: unknown): string[] =>
  ['get', 'set', 'destroy'].filter((name) => !isMethod(value, name));

const isRedisClient = (value: unknown): boolean => isMethod(value, 'sendCommand');

const isMethod = (value: unknown, name: string): boolean =>
  typeof (Object(value) as Record<string, unknown>)[name] === 'function';

/** How long a store may take for one call of ours, in milliseconds, unless the application says otherwise. */
export const DEFAULT_TIMEOUT = 1_000;

export const TIMEOUT = {
  takes: 'a number of milliseconds from 1 to 600,000',
  accepts: (value: unknown) => typeof value === 'number' && value >= 1 && value <= 600_000,
};
