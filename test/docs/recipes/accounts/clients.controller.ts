import { Controller, Get, UseGuards } from '@nestjs/common';
import { Session, SessionGuard, SessionStore } from 'nest-sessions';

@Controller()
export class ClientsController {
  constructor(private readonly store: SessionStore) {}

  @Get('devices')
  @UseGuards(SessionGuard)
  async devices(@Session() session: Session) {
    const infos = await this.store.listByUser(session.userId!);
    return infos.map(({ handle, client, touchedAt }) => ({
      device: client?.userAgent ?? 'unknown',
      address: client?.ip,
      lastUsed: touchedAt,
      thisOne: handle === session.handle,
    }));
  }
}
