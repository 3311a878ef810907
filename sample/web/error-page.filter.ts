import { STATUS_CODES } from 'node:http';
import type { IncomingMessage } from 'node:http';

import {
  type ArgumentsHost,
  Catch,
  type ExceptionFilter,
  HttpException,
  UnauthorizedException,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { SessionStore } from 'nest-sessions';

import { Views } from './views.js';

/** Errors as pages. Who must log in first is sent to do so, and back afterwards. */
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

    if (error instanceof UnauthorizedException) {
      const session = await this.store.of(host);
      session.flash('notice', 'Please log in first.');
      if (method === 'GET' && url) session.set('returnTo', url);
      httpAdapter.redirect(response, 303, '/login');
      return;
    }

    const status = error.getStatus();
    httpAdapter.setHeader(response, 'content-type', 'text/html; charset=utf-8');
    httpAdapter.reply(
      response,
      this.views.render('error', { status, title: STATUS_CODES[status], message: error.message }),
      status,
    );
  }
}
