import { createHash } from 'node:crypto';
import type { RedisPort, Reply } from './port.js';

/** A Lua script, run by the SHA-1 of its text. */
export class Script {
  private readonly sha: string;

  constructor(private readonly text: string) {
    this.sha = createHash('sha1').update(text).digest('hex');
  }

  /**
   * @param keys all in one slot: the first one decides the node
   * @returns a number, or a list of texts
   */
  run(
    port: RedisPort,
    keys: readonly string[],
    args: readonly string[],
  ): Promise<number | readonly string[]> {
    const rest = [String(keys.length), ...keys, ...args];
    return port.send(keys[0], 'evalsha', [this.sha, ...rest]).then(resultOf, (error: Error) => {
      // A server that was restarted, failed over or told to flush its scripts does not know it: the text follows.
      if (!error.message.startsWith('NOSCRIPT')) throw error;
      return port.send(keys[0], 'eval', [this.text, ...rest]).then(resultOf);
    });
  }
}

/** A client may be set to give numbers as texts. */
function resultOf(reply: Reply): number | readonly string[] {
  return Array.isArray(reply) ? (reply as readonly string[]) : Number(reply);
}
