import { Module } from '@nestjs/common';
import { APP_FILTER, APP_GUARD } from '@nestjs/core';
import { SessionModule } from 'nest-sessions';
import { RedisStorage } from 'nest-sessions/redis';

import { AccountController } from './account/account.controller.js';
import { Users } from './account/users.js';
import { DevicesController } from './devices/devices.controller.js';
import { HomeController } from './home/home.controller.js';
import { NotesController } from './notes/notes.controller.js';
import { ShopController } from './shop/shop.controller.js';
import { ErrorPageFilter } from './web/error-page.filter.js';
import { SameOriginGuard } from './web/same-origin.guard.js';
import { StyleController } from './web/style.controller.js';
import { Views } from './web/views.js';

@Module({
  imports: [
    SessionModule.forRootAsync({
      useFactory: async () => ({
        ttl: '1h',
        absoluteTtl: '90d',
        // In memory, unless the sample runs as several processes: see cluster.ts.
        ...(process.env.REDIS_URL && { storage: await RedisStorage.connect(process.env.REDIS_URL) }),
      }),
    }),
  ],
  controllers: [
    HomeController,
    NotesController,
    ShopController,
    AccountController,
    DevicesController,
    StyleController,
  ],
  providers: [
    Users,
    Views,
    { provide: APP_GUARD, useClass: SameOriginGuard },
    { provide: APP_FILTER, useClass: ErrorPageFilter },
  ],
})
export class AppModule {}
