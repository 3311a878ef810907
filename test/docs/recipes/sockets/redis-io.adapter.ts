import type { INestApplication } from '@nestjs/common';
import { IoAdapter } from '@nestjs/platform-socket.io';
import { createAdapter } from '@socket.io/redis-adapter';
import { Redis } from 'ioredis';
import { withSessions } from 'nest-sessions/websockets';

export class RedisIoAdapter extends IoAdapter {
  private readonly publisher = new Redis(process.env.REDIS_URL!);

  override createIOServer(port: number, options?: any): any {
    const server: any = super.createIOServer(port, options);
    server.adapter(createAdapter(this.publisher, this.publisher.duplicate()));
    return server;
  }
}

export function useRedisIo(app: INestApplication): void {
  app.useWebSocketAdapter(withSessions(new RedisIoAdapter(app), app));
}
