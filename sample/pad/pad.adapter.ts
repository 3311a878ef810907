import type { INestApplication } from '@nestjs/common';
import { IoAdapter } from '@nestjs/platform-socket.io';

import { addressOf } from '../storage.js';

/**
 * socket.io without polling, so that it does not matter which process a request comes to. With Redis its rooms reach
 * over all processes.
 */
export class PadAdapter extends IoAdapter {
  private rooms: unknown;
  private leave: () => Promise<unknown> = async () => undefined;

  static async create(app: INestApplication): Promise<PadAdapter> {
    const adapter = new PadAdapter(app);
    const url = addressOf('redis');
    if (url) await adapter.join(url);
    return adapter;
  }

  override createIOServer(port: number, options?: object): any {
    const server: any = super.createIOServer(port, { ...options, transports: ['websocket'] } as never);
    if (this.rooms) server.adapter(this.rooms);
    return server;
  }

  override async dispose(): Promise<void> {
    await super.dispose();
    await this.leave();
  }

  private async join(url: string): Promise<void> {
    const { Redis } = await import('ioredis');
    const { createAdapter } = await import('@socket.io/redis-adapter');
    const clients = [new Redis(url), new Redis(url)] as const;
    for (const client of clients) client.on('error', (error) => console.error('The pad:', error.message));
    this.rooms = createAdapter(...clients);
    this.leave = () => Promise.allSettled(clients.map((client) => client.quit()));
  }
}
