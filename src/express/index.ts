export { type ReqSessionOptions, useReqSession } from './use-req-session.js';
export type { ReqCookie } from './req-cookie.js';
export type { ReqSession } from './req-session.js';
export type { ReqSessionStore } from './req-session-store.js';
export { ConnectStorage, type ConnectStorageOptions } from './connect/storage.js';
export { connectShim } from './connect/shim.js';
export type { ConnectStore } from './connect/store.js';
