export { type ReqSessionOptions, useReqSession } from './use-req-session.js';
export type { ReqCookie } from './req-cookie.js';
export type { ReqSession } from './req-session.js';
export type { ReqSessionStore } from './req-session-store.js';
