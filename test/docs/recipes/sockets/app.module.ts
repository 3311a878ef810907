import { Module } from '@nestjs/common';
import { SessionModule } from 'nest-sessions';
import { SessionSocketsModule } from 'nest-sessions/websockets';
import { NoteController } from './note.controller.js';
import { NoteGateway } from './note.gateway.js';

@Module({
  imports: [SessionModule.forRoot({ ttl: '1h' }), SessionSocketsModule],
  controllers: [NoteController],
  providers: [NoteGateway],
})
export class AppModule {}
