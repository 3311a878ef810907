import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { SessionStore } from 'nest-sessions';

@Injectable()
export class AuditService implements OnModuleInit {
  private readonly logger = new Logger('sessions');

  constructor(private readonly store: SessionStore) {}

  onModuleInit() {
    this.store.events.subscribe(({ type, handle, userId, at }) => {
      this.logger.log({ type, handle, userId, at });
    });
  }
}
