/** Where commands wait for a connection that is down, none for longer than its time: no queue of the client's fills. */
export class ReadyGate {
  private readonly waiting = new Set<() => void>();

  /** Lets everybody in who waits. */
  open(): void {
    for (const enter of this.waiting) enter();
    this.waiting.clear();
  }

  /** @throws what `error` makes, after `timeout` milliseconds */
  wait(timeout: number, error: () => Error): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = () => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        this.waiting.delete(enter);
        reject(error());
      }, timeout);
      this.waiting.add(enter);
    });
  }
}
