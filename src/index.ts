/*
 * The public API, name by name. Numbers such as S27 in comments are rules of security; docs/security.md lists them with
 * their sources, and the tests that hold them.
 */
export { SessionModule } from './nest/session.module.js';
export type {
  SessionModuleAsyncOptions,
  SessionModuleRootOptions,
  SessionOptionsFactory,
} from './nest/session.module.js';
export type { SessionModuleOptions } from './nest/session.options.js';
export type { SessionCodec } from './session/codec.js';
export type { InferSessionData, SessionSchema, StandardSchema } from './session/schema.js';
export type { EncryptionKey, EncryptionOptions } from './session/value-cipher.js';
export type { SessionCookieOptions } from './http/cookie-options.js';
export type { CrossOriginOptions } from './http/origin.js';
export type { Duration } from './rules.js';

export { AllowCrossOrigin, Session, SessionLock, UseSession } from './nest/session.decorators.js';
export { RecentLogin } from './nest/recent-login.js';
export { CrossOriginGuard } from './nest/cross-origin.guard.js';
export { SessionGuard } from './nest/session.guard.js';
export { SessionInterceptor } from './nest/session.loader.js';
export type {
  ClientInfo,
  DefaultSessionData,
  InitialSessionData,
  SessionData,
  SessionPath,
  SessionTypes,
  SessionValue,
  StoredData,
  StoredValue,
} from './session/session-data.js';

export { SessionStore } from './nest/session.store.js';
export type { CreateSession, ListPage } from './session/sessions.js';
export type { SessionInfo, SessionOfOptions, SessionPage, SessionTarget } from './nest/session.store.js';
export type { SessionEvent, SessionEventType } from './session/events.js';
export {
  LockNotFreeError,
  SessionError,
  SessionExistsError,
  SessionOptionsError,
  SessionTooLargeError,
} from './errors.js';
export {
  SessionConflictError,
  SessionCrossOriginError,
  SessionGoneError,
  SessionLimitError,
  SessionLockError,
  SessionNotRecentError,
  SessionStorageError,
} from './errors.http.js';

export { SessionCookie } from './http/cookie.js';
export type { CookieRequest } from './http/request.js';

export { SessionStorage } from './storage/session-storage.js';
export type {
  Expectation,
  LockOptions,
  RecordPage,
  SessionChange,
  SessionLease,
  StorageEvent,
  UpdateResult,
} from './storage/session-storage.js';
export type { Awaitable } from './awaitable.js';
export type { SessionRecord } from './storage/record.js';
export { MemoryStorage } from './storage/memory/index.js';
export type { MemoryStorageOptions } from './storage/memory/index.js';
