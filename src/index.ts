export { SessionModule } from './nest/session.module.js';
export type {
  SessionModuleAsyncOptions,
  SessionModuleRootOptions,
  SessionOptionsFactory,
} from './nest/session.module.js';
export type {
  Duration,
  SessionCodec,
  SessionCookieOptions,
  SessionModuleOptions,
} from './nest/session.options.js';

export { Session, SessionLock, UseSession } from './nest/session.decorators.js';
export { SessionGuard } from './nest/session.guard.js';
export type { DefaultSessionData, SessionData, SessionPath, SessionValue } from './session/session-data.js';

export { SessionStore } from './nest/session.store.js';
export type { CreateSession, SessionInfo, SessionTarget } from './nest/session.store.js';
export type { SessionEvent, SessionEventType } from './session/events.js';
export {
  SessionConflictError,
  SessionError,
  SessionExistsError,
  SessionGoneError,
  SessionLockError,
  SessionOptionsError,
  SessionStorageError,
  SessionTooLargeError,
} from './errors.js';

export { SessionCookie } from './http/cookie.js';
export type { CookieRequest } from './http/cookie.js';
export { SessionInterceptor } from './nest/session.loader.js';

export { SessionStorage } from './storage/session-storage.js';
export type {
  Awaitable,
  LockOptions,
  SessionChange,
  SessionLease,
  SessionRecord,
  StorageEvent,
  UpdateResult,
} from './storage/session-storage.js';
export { MemoryStorage } from './storage/memory/storage.js';
