import { Module } from '@nestjs/common';
import { SessionModule } from 'nest-sessions';
import { RedisStorage } from 'nest-sessions/redis';

@Module({
  imports: [
    SessionModule.forRootAsync({
      useFactory: async () => ({
        ttl: '1h',
        storage: await RedisStorage.connect(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379'),
      }),
    }),
  ],
})
export class AppModule {}
