/** The Redis that the Redis rows use, and the prefix of all keys that they write there and remove again. */
export const REDIS_URL = process.env.BENCH_REDIS_URL ?? 'redis://127.0.0.1:6379/9';
export const REDIS_PREFIX = 'nest-sessions-bench:';
