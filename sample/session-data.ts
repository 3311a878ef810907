import type { Basket } from './shop/products.js';

/** What this application keeps in a session. Declared once, known wherever a `Session` is. */
declare module 'nest-sessions' {
  interface SessionData {
    /** How often the home page was seen. */
    visits?: number;
    notes?: string[];
    basket?: Basket;
    /** What the windows of one browser write together. */
    pad?: string;
    /** The user's name, noted at login. */
    name?: string;
    /** The page that asked for a login. */
    returnTo?: string;
  }
}
