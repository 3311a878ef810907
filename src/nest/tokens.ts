/** Injection token of the checked options. */
export const SESSION_OPTIONS = Symbol('nest-sessions.options');
