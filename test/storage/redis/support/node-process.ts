import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export interface NodeOptions {
  /** Of the sources as JavaScript. */
  readonly directory: string;
  readonly port: number;
  readonly prefix: string;
  /** The package of its client. */
  readonly client: string;
}

/** Another process with the library. */
export class NodeProcess {
  private readonly heard: any[] = [];
  private readonly waiting: (() => void)[] = [];

  private constructor(private readonly child: ChildProcess) {
    child.on('message', (message) => {
      this.heard.push(message);
      for (const wake of this.waiting.splice(0)) wake();
    });
  }

  static async start(options: NodeOptions): Promise<NodeProcess> {
    const child = fork(join(import.meta.dirname, 'node-main.js'), [JSON.stringify(options)]);
    const node = new NodeProcess(child);
    await node.hear('ready');
    return node;
  }

  /** The answer, or what it failed with. */
  async do(order: string, args: object = {}): Promise<any> {
    this.tell(order, args);
    return this.outcome();
  }

  tell(order: string, args: object = {}): void {
    this.child.send({ order, ...args });
  }

  async outcome(): Promise<any> {
    const message = await this.hear('answer', 'error');
    return message.answer ?? message.error;
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
    if (this.child.connected) this.tell('stop');
    await exited;
  }
}
