import type { SessionRecord } from '../../storage/record.js';

/** How long a write that was not answered is reckoned with. */
const FORGOTTEN_AFTER = 600_000;

interface Late {
  /** How many writes of the session are not answered yet. */
  open: number;
  /** What was written after them; null: the session ended. Undefined: nothing yet. */
  after: SessionRecord | null | undefined;
}

/**
 * Writes that a store did not answer in time. They may still be carried out, after what was written later, and would
 * bring a session back that has ended since (S27). So what came after is kept until they are answered, and written again.
 */
export class LateWrites {
  private readonly late = new Map<string, Late>();

  /** @param again writes what came after once more */
  constructor(private readonly again: (handle: string, record: SessionRecord | null) => Promise<void>) {}

  add(handle: string, answered: Promise<void>): void {
    const late = this.late.get(handle) ?? { open: 0, after: undefined };
    late.open++;
    this.late.set(handle, late);
    const forget = () => {
      clearTimeout(timer);
      if (--late.open === 0 && this.late.get(handle) === late) this.late.delete(handle);
    };
    const timer = setTimeout(forget, FORGOTTEN_AFTER).unref();
    void answered.then(async () => {
      // If this one fails too, it is another late write or the store is down, and the next request tells.
      if (late.after !== undefined) await this.again(handle, late.after).catch(() => undefined);
      forget();
    });
  }

  /** Takes note of a write that was carried out. */
  written(handle: string, record: SessionRecord | null): void {
    const late = this.late.get(handle);
    if (late) late.after = record;
  }

  /** Whether the session has ended, whatever the store says. */
  hasEnded(handle: string): boolean {
    return this.late.get(handle)?.after === null;
  }
}
