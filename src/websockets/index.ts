export { withSessions } from './adapter.js';
export type { SessionSocketsOptions } from './options.js';
export { SessionSockets, SessionSocketsModule } from './session-sockets.js';
export type { SocketInfo } from './session-sockets.js';
