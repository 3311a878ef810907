import type { IncomingMessage } from 'node:http';

import { type CanActivate, type ExecutionContext, ForbiddenException, Injectable } from '@nestjs/common';

/**
 * Changes come from this site's own pages only. The session cookie is SameSite=Lax and every change is
 * a POST, so another site's form arrives without a session; this also covers sibling sub-domains, which
 * count as the same site, and the login form, which needs no session to be abused.
 */
@Injectable()
export class SameOriginGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { method, headers } = context.switchToHttp().getRequest<IncomingMessage>();
    if (method === 'GET' || method === 'HEAD') return true;
    if (fromHere(headers)) return true;
    throw new ForbiddenException('This form was sent from another site.');
  }
}

/** Browsers send one of the two headers with every POST; a client that sends neither is no browser. */
function fromHere({ 'sec-fetch-site': site, origin, host }: IncomingMessage['headers']): boolean {
  if (site) return site === 'same-origin';
  return !origin || (URL.canParse(origin) && new URL(origin).host === host);
}
