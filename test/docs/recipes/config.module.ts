import { Injectable, Module } from '@nestjs/common';
import { SessionModule } from 'nest-sessions';

@Injectable()
export class Config {
  readonly sessionSecrets = ['the new secret', 'the old secret'];
}

@Module({ providers: [Config], exports: [Config] })
export class ConfigModule {}

@Module({
  imports: [
    SessionModule.forRootAsync({
      imports: [ConfigModule],
      inject: [Config],
      useFactory: (config: Config) => ({ ttl: '30m', absoluteTtl: '12h', secret: config.sessionSecrets }),
    }),
  ],
})
export class AppModule {}
