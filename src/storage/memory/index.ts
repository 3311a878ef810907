export { MemoryStorage } from './storage.js';
export type { MemoryStorageOptions } from './options.js';
