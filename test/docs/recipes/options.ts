import { Controller, Get, Module } from '@nestjs/common';
import type { Request } from 'express';
import { Session, SessionModule } from 'nest-sessions';

/** The domain that the sessions of a host are shared in. */
const TENANTS = new Map([
  ['shop.example.com', 'example.com'],
  ['www.example.com', 'example.com'],
]);

export const ofTenants = [
  SessionModule.forRoot({
    // Of a host that is in no list, the cookie belongs to that host alone.
    cookie: (request: Request) => ({ domain: TENANTS.get(request.hostname) }),
  }),
];

export const withTrustedOrigins = [
  SessionModule.forRoot({
    crossOrigin: { trustedOrigins: ['https://app.example.com', 'capacitor://localhost'], mode: 'log' },
  }),
];

export const withoutPolls = [
  SessionModule.forRoot({ touchWhen: (request: Request) => !request.path.startsWith('/poll') }),
];

@Controller('shop')
export class ShopController {
  @Get()
  visit(@Session() session: Session<{ seen: string }>) {
    return session.replace('seen', 'the shop') ?? 'nothing';
  }
}

@Controller('admin')
export class AdminController {
  @Get()
  visit(@Session() session: Session<{ seen: string }>) {
    return session.replace('seen', 'the office') ?? 'nothing';
  }
}

const shopSessions = SessionModule.forRoot({ isGlobal: false });
const adminSessions = SessionModule.forRoot({
  isGlobal: false,
  cookieName: 'admin',
  cookie: { path: '/admin', sameSite: 'strict' },
  ttl: '15m',
});

@Module({ imports: [shopSessions], controllers: [ShopController] })
export class ShopModule {}

@Module({ imports: [adminSessions], controllers: [AdminController] })
export class AdminModule {}
