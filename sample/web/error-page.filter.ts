import { STATUS_CODES } from 'node:http';
import type { IncomingMessage } from 'node:http';

import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { type Session, SessionNotRecentError, SessionStore } from 'nest-sessions';

import { CONTENT_SECURITY_POLICY } from './page.decorator.js';
import { Views } from './views.js';

/** Errors as pages. Who must log in first, or once more, is sent to do so, and back afterwards. */
@Catch(HttpException)
export class ErrorPageFilter implements ExceptionFilter<HttpException> {
  constructor(
    private readonly adapterHost: HttpAdapterHost,
    private readonly store: SessionStore,
    private readonly views: Views,
  ) {}

  async catch(error: HttpException, host: ArgumentsHost): Promise<void> {
    const { httpAdapter } = this.adapterHost;
    const http = host.switchToHttp();
    const { method, url } = http.getRequest<IncomingMessage>();
    const response: unknown = http.getResponse();
    const status = error.getStatus();

    const isOld = error instanceof SessionNotRecentError;
    if (status === 401 || isOld) {
      const session = await this.store.of(host);
      if (!isOld)
        session.flash('notice', session.hadSession ? 'You have been logged out.' : 'Please log in first.');
      if (method === 'GET' && url) session.set('returnTo', url);
      httpAdapter.redirect(response, 303, isOld ? '/confirm' : '/login');
      return;
    }

    httpAdapter.setHeader(response, 'content-type', 'text/html; charset=utf-8');
    httpAdapter.setHeader(response, 'cache-control', 'no-store');
    httpAdapter.setHeader(response, 'content-security-policy', CONTENT_SECURITY_POLICY);
    const page = { status, title: STATUS_CODES[status], message: messageOf(error) };
    httpAdapter.reply(response, this.views.error(await this.sessionOf(host), page), status);
  }

  /** For the navigation: an error is no use of the session, and leaves the notice to the page that comes after it. */
  private async sessionOf(host: ArgumentsHost): Promise<Session | undefined> {
    try {
      return await this.store.of(host, { touch: false });
    } catch {
      return undefined; // the session may be what the error is about
    }
  }
}

/** What the client may know. `error.message` is for the log, and "Cannot GET /…", which Nest says, for programmers. */
function messageOf(error: HttpException & { code?: string }): string {
  if (error.code === 'ERR_SESSION_CROSS_ORIGIN') return 'This form was sent from another site.';
  const answer = error.getResponse() as string | { message?: string };
  const message = typeof answer === 'string' ? answer : (answer.message ?? '');
  return message.startsWith('Cannot ') ? 'There is no such page.' : message;
}
