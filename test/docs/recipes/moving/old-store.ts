import session from 'express-session';

/** The store of the old servers, in an application of its own: what it is makes no difference. */
export const oldStore = new session.MemoryStore();
