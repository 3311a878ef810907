import { isThenable } from '../awaitable.js';
import { SessionError } from '../errors.js';
import { isOptions, kindOf } from '../rules.js';
import type { SessionRecord } from '../storage/record.js';
import type { CheckedStorage } from './checked-storage.js';
import type { SessionState } from './state.js';
import { ValueCodec } from './value-codec.js';

/** What a description may take as JSON, in bytes. */
const MAX_BYTES = 1_024;

/** Names the description where a value has a key. */
const NAME = 'client';

/**
 * What the application says of the client whose request this is, encoded: undefined if it says nothing, if what it says
 * cannot be kept, which is in the log then, or if there is no request.
 */
export function describedClient({ exchange, handle, storage }: SessionState): string | undefined {
  try {
    const json = jsonOf(exchange?.describeClient?.());
    if (json === undefined) return undefined;
    const client: unknown = JSON.parse(json);
    refuseNoObject(client);
    return new ValueCodec({ codec: storage.settings.codec }).encode(NAME, client);
  } catch (error) {
    const reason = reasonOf(error);
    const session = handle === undefined ? 'A session' : `Session ${handle}`;
    storage.events.warn(`${session} is stored without what describeClient says of its client: ${reason}`);
    return undefined;
  }
}

/** A description as an application sees it; undefined if there is none, or it cannot be read (S49). */
export function clientOf(storage: CheckedStorage, record: SessionRecord): Record<string, any> | undefined {
  const text = storage.clientOf(record);
  if (text === undefined) return undefined;
  const { codec } = storage.settings;
  const onCorrupt = () => storage.events.emit('corrupt', record.handle, record.userId);
  const client = new ValueCodec({ codec }, onCorrupt).decode(NAME, text);
  return isOptions(client) ? client : undefined;
}

/** @throws {SessionError} unless it is an object of plain data, small enough */
function jsonOf(description: unknown): string | undefined {
  if (description === undefined) return undefined;
  refuseUnstorable(description);
  refuseNoObject(description);
  const json = JSON.stringify(description, (_name, value: unknown) => (refuseUnstorable(value), value));
  const bytes = Buffer.byteLength(json);
  if (bytes <= MAX_BYTES) return json;
  throw new SessionError(`it takes ${bytes} bytes of JSON, and ${MAX_BYTES} are the most`);
}

/** `toJSON` may make anything of an object. */
function refuseNoObject(description: unknown): void {
  if (!isOptions(description)) throw new SessionError(`it is ${kindOf(description)}, and no object`);
}

/** Whatever was thrown, a login does not fail for it. */
function reasonOf(error: unknown): string {
  try {
    return error instanceof Error ? error.message : String(error);
  } catch {
    return 'it threw what cannot be shown';
  }
}

/** JSON would leave these out without a word. */
function refuseUnstorable(value: unknown): void {
  if (isThenable(value)) {
    // Nobody else may wait for it, and a rejection would end the process.
    value.then(undefined, () => undefined);
    throw new SessionError('it is or holds a promise, which no login waits for');
  }
  if (typeof value === 'function' || typeof value === 'symbol') {
    throw new SessionError(`it is or holds a ${typeof value}`);
  }
}
