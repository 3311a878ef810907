import type { RunningApp } from '../../../support/app.js';
import type { Client } from '../../../support/client.js';

/** How a request may end while Redis is in trouble. */
export interface Outcome {
  readonly status: number;
  readonly text: string;
  /** Milliseconds. */
  readonly took: number;
  readonly at: number;
}

/** Visitors who write to their sessions and read them again, all the time. */
export class Load {
  readonly outcomes: Outcome[] = [];
  /** Of each visitor, the last number that was acknowledged, and the last that was sent. */
  readonly acknowledged = new Map<Client, number>();
  private readonly sent = new Map<Client, number>();
  /** Answers that took an acknowledged write back. */
  readonly lost: string[] = [];
  private running: Promise<unknown> = Promise.resolve();
  private on = false;

  private constructor(readonly visitors: readonly Client[]) {}

  static async start(app: RunningApp, visitors: number): Promise<Load> {
    const load = new Load(Array.from({ length: visitors }, () => app.client()));
    for (const visitor of load.visitors) {
      await visitor.get('/set/n/0');
      load.acknowledged.set(visitor, 0);
      load.sent.set(visitor, 0);
    }
    load.on = true;
    load.running = Promise.all(load.visitors.map((visitor) => load.visit(visitor)));
    return load;
  }

  /** Ends it, when all requests have been answered. */
  async stop(): Promise<void> {
    this.on = false;
    await this.running;
  }

  since(at: number): Outcome[] {
    return this.outcomes.filter((outcome) => outcome.at >= at);
  }

  private async visit(visitor: Client): Promise<void> {
    while (this.on) {
      const n = this.sent.get(visitor)! + 1;
      this.sent.set(visitor, n);
      if ((await this.ask(visitor, `/set/n/${n}`)).status === 200) this.acknowledged.set(visitor, n);
      const { status, text } = await this.ask(visitor, '/read');
      if (status !== 200) continue;
      const { isNew, value } = JSON.parse(text) as { isNew: boolean; value: string | null };
      const least = this.acknowledged.get(visitor)!;
      if (isNew || Number(value) < least) this.lost.push(`${value ?? 'no session'} after ${least}`);
    }
  }

  private async ask(visitor: Client, path: string): Promise<Outcome> {
    const at = performance.now();
    const { status, text } = await visitor.get(path);
    const outcome = { status, text, took: performance.now() - at, at };
    this.outcomes.push(outcome);
    return outcome;
  }
}
