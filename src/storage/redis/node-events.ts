import { randomBytes } from 'node:crypto';
import type { StorageEvent } from '../session-storage.js';
import { Messages } from './messages.js';
import type { RedisKeys } from './keys.js';
import type { RedisPort } from './port.js';
import { userText } from './session-hash.js';

/** `node type handle =user`, or `-` for no user; the user is last because it may be any text. */
const MESSAGE = /^(\S+) (destroyed|expired|rotated) (\S+) (?:-|=([^]*))$/;

/**
 * Tells the other nodes of sessions that ended, and of logins on them, and this one of theirs. A node that is not connected at that moment
 * does not hear of it: an event is word of an end, and no record of it.
 */
export class NodeEvents {
  private readonly node = randomBytes(12).toString('base64url');
  private readonly messages: Messages;

  constructor(
    private readonly port: RedisPort,
    private readonly keys: RedisKeys,
    private readonly notify: (event: StorageEvent) => void,
  ) {
    this.messages = new Messages(port, [keys.eventChannel], (_channel, message) => this.hear(message));
  }

  open(): Promise<void> {
    return this.messages.open();
  }

  close(): void {
    this.messages.close();
  }

  /** What the script that removes the session says; it adds the user. */
  destroyedMessage(handle: string): string {
    return `${this.node} destroyed ${handle}`;
  }

  async tellExpired(handle: string, userId: string | undefined): Promise<void> {
    this.notify({ type: 'expired', handle, userId });
    const { eventChannel } = this.keys;
    const message = `${this.node} expired ${handle} ${userText(userId)}`;
    await this.port.send(eventChannel, 'publish', [eventChannel, message]);
  }

  /** A login that nobody hears of is a login all the same. */
  tellLogin(handle: string, userId: string | null): void {
    const { eventChannel } = this.keys;
    const message = `${this.node} rotated ${handle} ${userText(userId ?? undefined)}`;
    this.port.send(eventChannel, 'publish', [eventChannel, message]).catch(() => undefined);
  }

  private hear(message: string): void {
    const [, node, type, handle, userId] = MESSAGE.exec(message) ?? [];
    // What this node did itself, its own store has told already.
    if (node === undefined || node === this.node) return;
    this.notify({ type: type as 'destroyed' | 'expired' | 'rotated', handle, userId });
  }
}
