import { createHash } from 'node:crypto';

/** How many sorted sets the deadlines are spread over, so that no node of a Cluster has them all. */
export const DEADLINE_SETS = 16;

/**
 * The names of all keys. What belongs to one session has the session's handle in braces, so that a Cluster keeps
 * it in one slot; nothing else has braces.
 */
export class RedisKeys {
  constructor(readonly prefix: string) {}

  session(handle: string): string {
    return `${this.prefix}{${handle}}`;
  }

  /** The handle of a session's key. */
  handleOf(key: string): string {
    return key.slice(this.prefix.length + 1, -1);
  }

  lock(handle: string): string {
    return `${this.prefix}{${handle}}:lock`;
  }

  /** The tokens that wait for the lock. */
  line(handle: string): string {
    return `${this.prefix}{${handle}}:line`;
  }

  /** The handles of a user's sessions. Hashed: an id may be any text, and is nobody's business in a list of keys. */
  user(userId: string): string {
    return `${this.prefix}user:${createHash('sha256').update(userId).digest('base64url').slice(0, 22)}`;
  }

  /** Deadlines of sessions, where their end is to be announced. */
  deadlines(set: number): string {
    return `${this.prefix}deadlines:${set}`;
  }

  deadlinesOf(handle: string): string {
    return this.deadlines(handle.charCodeAt(0) % DEADLINE_SETS);
  }

  /** Matches the sessions and nothing else: the other keys do not end with the brace. */
  get sessionPattern(): string {
    return `${this.prefix.replace(/[\\*?[\]]/g, String.raw`\$&`)}{*}`;
  }

  /** The channel by which a waiting node is woken; its name follows. */
  get wakeChannel(): string {
    return `${this.prefix}wake:`;
  }

  get eventChannel(): string {
    return `${this.prefix}events`;
  }
}
