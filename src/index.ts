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
export type {
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
export type { CreateSession, SessionInfo, SessionTarget } from './nest/session.store.js';
export type { SessionEvent, SessionEventType } from './session/events.js';
export { SessionError, SessionExistsError, SessionOptionsError, SessionTooLargeError } from './errors.js';
export {
  SessionConflictError,
  SessionGoneError,
  SessionLockError,
  SessionStorageError,
} from './errors.http.js';

export { SessionCookie } from './http/cookie.js';
export type { CookieRequest } from './http/request.js';
export { SessionInterceptor } from './nest/session.loader.js';

export { SessionStorage } from './storage/session-storage.js';
export type {
  LockOptions,
  SessionChange,
  SessionLease,
  StorageEvent,
  UpdateResult,
} from './storage/session-storage.js';
export type { Awaitable } from './awaitable.js';
export type { SessionRecord } from './storage/record.js';
export { MemoryStorage } from './storage/memory/storage.js';
