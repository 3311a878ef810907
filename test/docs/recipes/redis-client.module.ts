import { Module } from '@nestjs/common';
import { Redis } from 'ioredis';
import { SessionModule } from 'nest-sessions';
import { RedisStorage } from 'nest-sessions/redis';

const redis = new Redis(process.env.REDIS_URL!);

@Module({ imports: [SessionModule.forRoot({ storage: new RedisStorage(redis) })] })
export class AppModule {}
