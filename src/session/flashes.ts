import type { Encoded } from './encoded.js';
import { FLASH, isFlashField } from './keys.js';
import type { ValueCodec } from './value-codec.js';

type Flash = readonly [key: string, value: unknown];

/** The values among which the fields of flashes lie. */
interface Fields {
  read(field: string): unknown;
  write(field: string, flashes: readonly Flash[] | undefined): void;
}

/**
 * What one holder flashes, and what was waiting for it when it began. Flashes lie among the values in fields that are
 * no keys of the data: each request makes one of its own, so that requests that run at once do not meet, and the next
 * request removes all that it found.
 */
export class Flashes {
  /** What was waiting waits for the next request again. */
  kept = false;
  private own: string | undefined;

  constructor(
    private readonly arrived: Encoded,
    private readonly codec: ValueCodec,
    private readonly fields: Fields,
  ) {}

  /**
   * Leaves a value for the next request; `undefined` takes back what this one left under the key.
   *
   * @throws {SessionError} if the value cannot be stored
   */
  flash(key: string, value: unknown): void {
    if (value !== undefined) this.codec.write(key, value);
    this.own ??= `${FLASH}${numberOf(this.latest()[0]) + 1}:${Math.random().toString(36).slice(2, 10)}`;
    const flashes = listOf(this.fields.read(this.own)).filter(([other]) => other !== key);
    if (value !== undefined) flashes.push([key, value]);
    this.fields.write(this.own, flashes.length === 0 ? undefined : flashes);
  }

  /** What an earlier request left under this key; of several the last. */
  flashed(key: string): unknown {
    for (const field of this.latest()) {
      const flashes = listOf(this.codec.decode(field, this.arrived[field]!));
      const found = flashes.find(([other]) => other === key);
      if (found) return found[1];
    }
    return undefined;
  }

  reflash(): void {
    this.kept = true;
  }

  /** The fields that were waiting, the last one first: a storage may give them in any order. */
  private latest(): string[] {
    const fields = Object.keys(this.arrived).filter(isFlashField);
    return fields.toSorted((a, b) => numberOf(b) - numberOf(a));
  }
}

/** In the name of each field a number comes first, higher than those of the fields before it, and then a random part. */
function numberOf(field = ''): number {
  return Number(/^(\d+):/.exec(field.slice(FLASH.length))?.[1] ?? 0);
}

const listOf = (value: unknown): Flash[] => (Array.isArray(value) ? (value as Flash[]) : []);
