import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { withSessions } from 'nest-sessions/websockets';

import { AppModule } from './app.module.js';
import { PadAdapter } from './pad/pad.adapter.js';

export type Platform = 'express' | 'fastify';

/** The application, ready to `listen()`. This is the only place that knows the platform. */
export async function createApp(platform: Platform): Promise<INestApplication> {
  const adapter = platform === 'fastify' ? new FastifyAdapter() : new ExpressAdapter();
  const app = await NestFactory.create(AppModule, adapter, { logger: ['warn', 'error'] });
  app.useWebSocketAdapter(withSessions(await PadAdapter.create(app), app, { require: 'user' }));
  return app;
}
