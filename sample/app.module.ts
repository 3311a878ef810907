import type { IncomingMessage } from 'node:http';

import { Module } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import { SessionModule } from 'nest-sessions';
import { SessionSocketsModule } from 'nest-sessions/websockets';

import { AccountController } from './account/account.controller.js';
import { Users } from './account/users.js';
import { deviceName } from './devices/device-name.js';
import { DevicesController } from './devices/devices.controller.js';
import { HomeController } from './home/home.controller.js';
import { NotesController } from './notes/notes.controller.js';
import { PadController } from './pad/pad.controller.js';
import { PadGateway } from './pad/pad.gateway.js';
import { ShopController } from './shop/shop.controller.js';
import { chooseStorage } from './storage.js';
import { AssetsController } from './web/assets.controller.js';
import { ErrorPageFilter } from './web/error-page.filter.js';
import { Views } from './web/views.js';

@Module({
  imports: [
    SessionModule.forRootAsync({
      useFactory: async () => ({
        ttl: '1h',
        absoluteTtl: '90d',
        storage: await chooseStorage(),
        describeClient: ({ headers }: IncomingMessage) => ({ device: deviceName(headers['user-agent']) }),
      }),
    }),
    SessionSocketsModule,
  ],
  controllers: [
    HomeController,
    NotesController,
    PadController,
    ShopController,
    AccountController,
    DevicesController,
    AssetsController,
  ],
  providers: [Users, Views, PadGateway, { provide: APP_FILTER, useClass: ErrorPageFilter }],
})
export class AppModule {}
