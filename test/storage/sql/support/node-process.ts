import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export interface NodeOptions {
  /** Of the sources as JavaScript. */
  readonly directory: string;
  readonly driver: string;
  readonly url: string;
  /** Of the storage. */
  readonly options: object;
  /** Time zone of the process, and whatever else is different there. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Another process with the storage. */
export class NodeProcess {
  private readonly heard: any[] = [];
  private readonly waiting: (() => void)[] = [];

  private constructor(private readonly child: ChildProcess) {
    child.on('message', (message) => {
      this.heard.push(message);
      for (const wake of this.waiting.splice(0)) wake();
    });
  }

  static async start({ env, ...options }: NodeOptions): Promise<NodeProcess> {
    const main = join(import.meta.dirname, 'node-main.js');
    const child = fork(main, [JSON.stringify(options)], { env: { ...process.env, ...env }, execArgv: [] });
    const node = new NodeProcess(child);
    await Promise.race([
      node.hear('ready'),
      once(child, 'exit').then(() => Promise.reject(new Error('The process ended before it was ready.'))),
    ]);
    return node;
  }

  /** The answer, null for none, or what it failed with. One thing at a time. */
  async do(order: string, args: object = {}): Promise<any> {
    this.tell(order, args);
    return this.outcome();
  }

  /** Calls a method of its storage. */
  call(method: string, ...args: unknown[]): Promise<any> {
    return this.do('call', { method, args });
  }

  tell(order: string, args: object = {}): void {
    this.child.send({ order, ...args });
  }

  async outcome(): Promise<any> {
    const message = await this.hear('answer', 'error');
    return 'answer' in message ? message.answer : message.error;
  }

  /** Waits for a message with one of these names. */
  async hear(...names: string[]): Promise<any> {
    for (;;) {
      const at = this.heard.findIndex((message) => names.some((name) => name in message));
      if (at >= 0) return this.heard.splice(at, 1)[0];
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
  }

  signal(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    this.child.kill(signal);
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    this.child.kill('SIGCONT');
    if (this.child.connected) this.tell('stop');
    await exited;
  }
}
