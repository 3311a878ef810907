import type { IncomingMessage } from 'node:http';
import { Module } from '@nestjs/common';
import { SessionModule } from 'nest-sessions';

/** `shop.example.com` and `shop.example.org` are two tenants; all of a tenant's hosts share its cookie. */
function tenantOf({ headers }: IncomingMessage): string {
  return headers.host?.endsWith('.example.org') ? 'example.org' : 'example.com';
}

@Module({
  imports: [SessionModule.forRoot({ cookie: (request) => ({ domain: tenantOf(request), secure: true }) })],
})
export class AppModule {}
