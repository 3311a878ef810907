export { describeSessionStorage } from './storage-contract.js';
export type { OptionalMember, StorageCapabilities, StorageFactory } from './storage-contract.js';
export { sessionCookie } from './session-cookie.js';
