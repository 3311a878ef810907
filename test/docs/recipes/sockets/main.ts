import type { INestApplication } from '@nestjs/common';
import { IoAdapter } from '@nestjs/platform-socket.io';
import { WsAdapter } from '@nestjs/platform-ws';
import { withSessions } from 'nest-sessions/websockets';

export function useSocketIo(app: INestApplication): void {
  app.useWebSocketAdapter(withSessions(new IoAdapter(app), app, { require: 'user' }));
}

export function useWs(app: INestApplication): void {
  app.useWebSocketAdapter(withSessions(new WsAdapter(app), app, { require: 'user' }));
}
