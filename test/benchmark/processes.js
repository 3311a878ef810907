import { spawn, spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

/** The server has one core, the load generator another; only where the system has `taskset`. */
const canPin = availableParallelism() > 1 && spawnSync('taskset', ['-V'], { stdio: 'ignore' }).status === 0;
export const cores = canPin ? { client: 0, server: availableParallelism() - 1 } : {};

/** A script of this folder in a process of its own, that takes orders over IPC. */
export class Child {
  #process;
  #pending = new Map();
  #id = 0;
  #gone;

  /** Resolves when the script has said that it is ready; `ready` is what it said. */
  static async start(script, args = [], { core, execArgv = [] } = {}) {
    const child = new Child();
    const node = [...execArgv, fileURLToPath(new URL(script, import.meta.url)), ...args];
    const [command, commandArgs] =
      core === undefined
        ? [process.execPath, node]
        : ['taskset', ['-c', String(core), process.execPath, ...node]];
    child.name = [script, ...args].join(' ');
    child.#process = spawn(command, commandArgs, {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, NODE_ENV: 'production', NODE_OPTIONS: '' },
    });
    child.ready = await new Promise((resolve, reject) => {
      child.#process.on('message', (message) => {
        if ('ready' in message) return resolve(message.ready);
        const { resolve: answer, reject: refuse } = child.#pending.get(message.id);
        child.#pending.delete(message.id);
        if ('error' in message) refuse(new Error(`${child.name}: ${message.error}`));
        else answer(message.answer);
      });
      child.#process.on('exit', (code) => {
        child.#gone = new Error(`${child.name} ended with code ${code}`);
        reject(child.#gone);
        for (const { reject: refuse } of child.#pending.values()) refuse(child.#gone);
      });
    });
    return child;
  }

  ask(order, argument) {
    if (this.#gone) return Promise.reject(this.#gone);
    return new Promise((resolve, reject) => {
      const id = this.#id++;
      this.#pending.set(id, { resolve, reject });
      this.#process.send({ id, order, argument });
    });
  }

  async stop() {
    if (this.#gone) return;
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.disconnect();
    await ended;
  }
}
