import type { MessageListener, RedisPort, Subscription } from './port.js';

/** How long a failed attempt to listen is left alone, in milliseconds. */
const RETRY_AFTER = 1_000;

/**
 * What this node hears from the others. The connection for it is made when it is needed first; one that fails is
 * made again, so that a caller has nothing to do about it.
 */
export class Messages {
  private opening: Promise<void> | undefined;
  private subscription: Subscription | undefined;
  private listening = false;
  private retry: NodeJS.Timeout | undefined;

  constructor(
    private readonly port: RedisPort,
    private readonly channels: readonly string[],
    private readonly listener: MessageListener,
    private readonly restored: () => void = () => undefined,
  ) {}

  get isOpen(): boolean {
    return this.listening;
  }

  /** Settles with the first attempt, and never rejects: {@link isOpen} tells how it went. */
  open(): Promise<void> {
    this.opening ??= this.listen();
    return this.opening;
  }

  close(): void {
    clearTimeout(this.retry);
    this.subscription?.close();
    this.subscription = undefined;
  }

  private async listen(): Promise<void> {
    const subscription = this.port.subscribe(this.channels, this.listener, this.restored);
    this.subscription = subscription;
    try {
      await subscription.ready;
      this.listening = true;
    } catch {
      subscription.close();
      if (this.subscription !== subscription) return;
      this.retry = setTimeout(() => void (this.opening = this.listen()), RETRY_AFTER);
      this.retry.unref();
    }
  }
}
