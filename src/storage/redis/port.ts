/** What Redis answers with, errors aside: those are rejections. Texts are decoded as UTF-8. */
export type Reply = string | number | null | readonly Reply[];

/** A connection of its own that listens to channels. */
export interface Subscription {
  /** Settles when it listens, or failed to. */
  readonly ready: Promise<unknown>;
  /** Ends the connection, made or not. */
  close(): void;
}

/** Called for each message with the channel that it came by. */
export type MessageListener = (channel: string, message: string) => void;

/** One of the servers that have the sessions, asked directly. */
export interface RedisMaster {
  /** `host:port` in a Cluster. The empty text where there is only one. */
  readonly address: string;
  send(command: string, args: readonly string[]): Promise<Reply>;
}

/**
 * The little that the storage needs of a client. Whatever the client, a call settles within the command
 * timeout, and one that was given up neither rejects later nor is kept for ever.
 */
export interface RedisPort {
  /** Whether the keys of one command have to be in one slot. */
  readonly isCluster: boolean;

  /** Waits until the server can be reached; rejects if it cannot. */
  open(): Promise<void>;

  /**
   * Sends one command.
   *
   * @param key decides the node in a Cluster; it is one of `args` too
   */
  send(key: string, command: string, args: readonly string[]): Promise<Reply>;

  /** All that have sessions now, in no particular order; waits for a connection like {@link send}. */
  masters(): Promise<readonly RedisMaster[]>;

  /**
   * Listens on a connection of its own, which comes back by itself after an outage.
   *
   * @param restored called each time that it is back: what was published meanwhile is lost
   */
  subscribe(channels: readonly string[], listener: MessageListener, restored: () => void): Subscription;

  /** Frees what {@link open} opened; a client that came connected stays so. */
  close(): Promise<void>;
}

/** How many times the command timeout `open` waits for the server. */
export const OPEN_PATIENCE = 10;

/**
 * How many commands may be without an answer that nobody waits for any more. A server that stands still leaves
 * them in the client's queue; at this many, further ones fail at once until it answers (S55).
 */
export const MAX_ABANDONED = 2_000;

/** Why a command was given up. */
export class RedisUnavailableError extends Error {
  override readonly name = 'RedisUnavailableError';
}

export function noAnswer(timeout: number): RedisUnavailableError {
  return new RedisUnavailableError(
    `Redis did not answer within ${timeout} ms (commandTimeout); what was sent may still take effect.`,
  );
}

/** @param reason what the client said last; only its text is told, as the rest may hold the password that was sent */
export function notConnected(timeout: number, reason?: Error & { code?: string }): RedisUnavailableError {
  const why = reason?.message || reason?.code;
  return new RedisUnavailableError(
    `Redis could not be reached within ${timeout} ms${why ? `: ${why.replace(/\.$/, '')}` : ''}; nothing was sent.`,
  );
}

export function tooManyAbandoned(): RedisUnavailableError {
  return new RedisUnavailableError(
    `Redis answers none of the last ${MAX_ABANDONED} commands; nothing was sent.`,
  );
}
