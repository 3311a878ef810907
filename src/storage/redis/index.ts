export { RedisStorage } from './redis.storage.js';
export type { RedisStorageOptions } from './redis.options.js';
export type { RedisConnectOptions } from './connect.js';
export type { RedisClient } from './redis-client.js';
