import { after, type Awaitable, isThenable } from '../awaitable.js';
import { type AnySocket, type Bound, isIo } from './sockets.js';

const held = new WeakSet<AnySocket>();

/**
 * Has what a socket sends wait until what its messages changed is saved, so that no client hears of an answer, an
 * exception or an event before it is true. In order: what comes later waits for what waits already.
 */
export function holdOutput(socket: AnySocket, bound: Bound): void {
  if (held.has(socket)) return;
  held.add(socket);
  const sender = socket as unknown as Record<string, (...args: unknown[]) => unknown>;
  const method = isIo(socket) ? 'packet' : 'send';
  const send = sender[method]!;
  let last: PromiseLike<unknown> | undefined;
  sender[method] = (...args) => {
    const saving = bound.hasEnded || !bound.running?.size ? undefined : saved(bound);
    if (!last && !isThenable(saving)) return send.apply(socket, args);
    const sent = Promise.all([last, saving]).then(() => {
      if (last === sent) last = undefined;
      send.apply(socket, args);
    });
    last = sent;
    return undefined;
  };
}

/** Never fails: a message that could not be saved says so itself. */
function saved({ running }: Bound): Awaitable<unknown> {
  let all: Awaitable<unknown>;
  for (const message of running ?? []) {
    const saving = message.save();
    if (isThenable(saving)) all = isThenable(all) ? after(all, () => saving) : saving;
  }
  return all;
}
