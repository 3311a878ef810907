import type { Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter, type NestExpressApplication } from '@nestjs/platform-express';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';

export async function onExpress(AppModule: Type) {
  const app = await NestFactory.create<NestExpressApplication>(AppModule, new ExpressAdapter());
  app.set('trust proxy', 'loopback'); // the proxy runs on this machine; else name its address
  return app;
}

export async function onFastify(AppModule: Type) {
  const adapter = new FastifyAdapter({ trustProxy: 'loopback' });
  return NestFactory.create<NestFastifyApplication>(AppModule, adapter);
}
