export { describeSessionStorage } from './storage-contract.js';
export type {
  OptionalMember,
  StorageCapabilities,
  StorageContext,
  StorageFactory,
} from './storage-contract.js';
export { sessionCookie } from './session-cookie.js';
export { testSession } from './test-session.js';
