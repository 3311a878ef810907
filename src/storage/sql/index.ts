export { SqlStorage } from './storage.js';
export type { SqlDatabaseName, SqlDdlOptions, SqlStorageOptions, UserIdType } from './options.js';
export type { SqlConnectOptions } from './connect.js';
export type { SqlDatabase } from './database.js';
