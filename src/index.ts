export { SessionModule } from './session.module.js';
export type {
  SessionModuleAsyncOptions,
  SessionModuleRootOptions,
  SessionOptionsFactory,
} from './session.module.js';
export type {
  Duration,
  SessionCodec,
  SessionCookieOptions,
  SessionModuleOptions,
} from './session.options.js';

export { Session, SessionLock, UseSession } from './session.decorators.js';
export { SessionGuard } from './session.guard.js';
export type { DefaultSessionData, SessionData, SessionPath, SessionValue } from './session.data.js';

export { SessionStore } from './session.store.js';
export type { CreateSession, SessionInfo, SessionTarget } from './session.store.js';
export type { SessionEvent, SessionEventType } from './session.events.js';
export {
  SessionConflictError,
  SessionError,
  SessionExistsError,
  SessionGoneError,
  SessionLockError,
  SessionOptionsError,
  SessionStorageError,
  SessionTooLargeError,
} from './session.errors.js';

export { SessionCookie } from './http/session.cookie.js';
export type { CookieRequest } from './http/session.cookie.js';
export { SessionInterceptor } from './http/session.interceptor.js';

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
export { MemoryStorage } from './storage/memory.storage.js';
