import { Module } from '@nestjs/common';
import { SessionModule } from 'nest-sessions';

@Module({
  imports: [SessionModule.forRoot({ cookieName: 'connect.sid', secret: 'what express-session had' })],
})
export class AppModule {}
