/** Longest time that something may take which only has to happen some time. */
const BOUND = 5_000;

/** The suite's time. */
export class ContractClock {
  private time: number | undefined;
  /** Milliseconds of a session that is to expire during a test. */
  readonly short: number;

  constructor(readonly kind: 'injected' | 'real') {
    this.time = kind === 'injected' ? Date.UTC(2030, 0, 1, 12, 34, 56, 789) : undefined;
    this.short = kind === 'injected' ? 60_000 : 250;
  }

  now(): number {
    return this.time ?? Date.now();
  }

  /** Lets an injected clock go on by itself, for what real timers limit: waiting for a lock and holding it. */
  run(): void {
    this.time = undefined;
  }

  /**
   * Goes to a time and checks something there. The injected clock stands at that millisecond; a real one may be
   * past it, and the check may fail until the storage's own clock is there too.
   */
  async at(time: number, check: () => unknown): Promise<void> {
    if (this.time !== undefined) {
      this.time = time;
      await check();
      return;
    }
    await sleep(time - Date.now());
    for (const bound = Date.now() + BOUND; ;) {
      try {
        await check();
        return;
      } catch (error) {
        if (Date.now() > bound) throw error;
        await sleep(10);
      }
    }
  }
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, milliseconds));
}
