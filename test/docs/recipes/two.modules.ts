import { Controller, Get, Injectable, Module } from '@nestjs/common';
import { Session, SessionModule, SessionStore } from 'nest-sessions';

const shopSessions = SessionModule.forRoot({ isGlobal: false, cookieName: 'shop' });
const staffSessions = SessionModule.forRoot({
  isGlobal: false,
  cookieName: 'staff',
  cookie: { path: '/staff', sameSite: 'strict' },
  ttl: '15m',
});

@Controller('shop')
export class ShopController {
  @Get()
  shop(@Session() session: Session<{ visits: number }>) {
    session.set('visits', (session.get('visits') ?? 0) + 1);
    return `shop ${session.get('visits')}`;
  }
}

@Injectable()
export class StaffCount {
  constructor(private readonly store: SessionStore) {}

  count() {
    return this.store.count();
  }
}

@Controller('staff')
export class StaffController {
  constructor(private readonly staff: StaffCount) {}

  @Get()
  async work(@Session() session: Session<{ visits: number }>) {
    session.set('visits', (session.get('visits') ?? 0) + 1);
    await session.save();
    return `staff ${session.get('visits')} of ${await this.staff.count()}`;
  }
}

@Module({ imports: [shopSessions], controllers: [ShopController] })
export class ShopModule {}

@Module({ imports: [staffSessions], controllers: [StaffController], providers: [StaffCount] })
export class StaffModule {}

@Module({ imports: [ShopModule, StaffModule] })
export class AppModule {}
