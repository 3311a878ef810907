export { RedisStorage } from './storage.js';
export type { RedisStorageOptions } from './options.js';
export type { RedisConnectOptions } from './connect.js';
export type { RedisClient } from './client.js';
