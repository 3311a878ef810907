export { MemoryStorage } from './storage.js';
export type { MemoryStorageOptions } from './storage.js';
