import type { IncomingMessage } from 'node:http';
import { CacheInterceptor } from '@nestjs/cache-manager';
import { type ExecutionContext, Injectable } from '@nestjs/common';

/** Whoever shows who they are is served by the handler, and what they get is not kept. */
@Injectable()
export class PublicCacheInterceptor extends CacheInterceptor {
  protected override trackBy(context: ExecutionContext) {
    const { headers } = context.switchToHttp().getRequest<IncomingMessage>();
    return headers.cookie || headers.authorization ? undefined : super.trackBy(context);
  }
}
