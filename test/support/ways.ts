import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import {
  Catch,
  Controller,
  Get,
  Header,
  HttpCode,
  HttpException,
  HttpStatus,
  Injectable,
  Module,
  NotFoundException,
  ParseIntPipe,
  Query,
  Redirect,
  Req,
  Res,
  Sse,
  StreamableFile,
  UseFilters,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import type {
  ArgumentsHost,
  CallHandler,
  CanActivate,
  ExceptionFilter,
  ExecutionContext,
  MiddlewareConsumer,
  NestInterceptor,
  NestModule,
} from '@nestjs/common';
import { Observable, catchError, concat, concatMap, defer, from, of } from 'rxjs';
import { Session, SessionStore } from '../../src/index.js';
import type { AnySession, Bag, Platform } from './app.js';
import { rawResponse } from './app.js';
import { settle } from './gate.js';

/** What a request does to its session, by query parameter, whichever way its response goes out. */
export interface Deed {
  readonly do?: 'nothing' | 'write' | 'rotate' | 'logout';
  readonly n?: string;
}

export async function act(session: AnySession, deed: Deed): Promise<void> {
  if (deed.do === 'write') session.set('n', Number(deed.n ?? 1));
  if (deed.do === 'rotate') {
    session.set('n', Number(deed.n ?? 1));
    await session.regenerate();
  }
  if (deed.do === 'logout') await session.logout();
}

function deedOf(url: string): Deed {
  return Object.fromEntries(new URL(url, 'http://localhost').searchParams) as Deed;
}

/** A cookie of the application's own: it has to survive whatever happens to the session's. */
const OTHER = 'other=1';
const FILE = fileURLToPath(new URL('./file.txt', import.meta.url));

const other = (): MethodDecorator => Header('Set-Cookie', OTHER);

function addOther(response: any): void {
  (response.raw ?? response).appendHeader('Set-Cookie', OTHER);
}

class Trouble extends Error {}

@Catch(Trouble)
class RedirectFilter implements ExceptionFilter {
  catch(_error: unknown, host: ArgumentsHost) {
    host.switchToHttp().getResponse().status(302).redirect('/elsewhere');
  }
}

@Injectable()
@Catch(Trouble)
class WritingFilter implements ExceptionFilter {
  constructor(private readonly store: SessionStore<Bag>) {}

  async catch(_error: unknown, host: ArgumentsHost) {
    const http = host.switchToHttp();
    await act(await this.store.of(host), http.getRequest().query);
    http.getResponse().status(409).send({ sorry: true });
  }
}

@Injectable()
export class DenyingGuard implements CanActivate {
  constructor(private readonly store: SessionStore<Bag>) {}

  async canActivate(context: ExecutionContext) {
    const http = context.switchToHttp();
    addOther(http.getResponse());
    await act(await this.store.of(context), http.getRequest().query);
    return false;
  }
}

@Injectable()
class ActingGuard implements CanActivate {
  constructor(private readonly store: SessionStore<Bag>) {}

  async canActivate(context: ExecutionContext) {
    const http = context.switchToHttp();
    addOther(http.getResponse());
    await act(await this.store.of(context), http.getRequest().query);
    return true;
  }
}

@Controller('ways')
export class WaysController {
  constructor(private readonly store: SessionStore<Bag>) {}

  @Get('me')
  me(@Session() session: AnySession) {
    return { n: session.get('n') ?? null, isNew: session.isNew, handle: session.handle };
  }

  @Get('string')
  @other()
  async string(@Session() session: AnySession, @Query() deed: Deed) {
    await act(session, deed);
    return 'hello';
  }

  @Get('object')
  @other()
  async object(@Session() session: AnySession, @Query() deed: Deed) {
    await act(session, deed);
    return { hello: 'you' };
  }

  @Get('buffer')
  @other()
  async buffer(@Session() session: AnySession, @Query() deed: Deed) {
    await act(session, deed);
    return Buffer.from('hello');
  }

  @Get('undefined')
  @other()
  async undefined(@Session() session: AnySession, @Query() deed: Deed) {
    await act(session, deed);
  }

  @Get('no-content')
  @HttpCode(204)
  @other()
  async noContent(@Session() session: AnySession, @Query() deed: Deed) {
    await act(session, deed);
  }

  @Get('observable')
  @other()
  async observable(@Session() session: AnySession, @Query() deed: Deed) {
    await act(session, deed);
    return of({ first: true }, { hello: 'you' });
  }

  @Get('observable-late')
  @other()
  observableLate(@Session() session: AnySession, @Query() deed: Deed) {
    return concat(
      of({ first: true }),
      defer(async () => {
        await act(session, deed);
        return { hello: 'you' };
      }),
    );
  }

  @Get('async-generator')
  @other()
  async *asyncGenerator(@Session() session: AnySession, @Query() deed: Deed) {
    await act(session, deed);
    yield 'hel';
    yield 'lo';
  }

  @Get('web-response')
  async webResponse(@Session() session: AnySession, @Query() deed: Deed) {
    await act(session, deed);
    return new Response('hello', {
      status: 203,
      headers: { 'Set-Cookie': OTHER, 'Content-Type': 'text/plain' },
    });
  }

  @Get('res-send')
  @other()
  async resSend(@Session() session: AnySession, @Query() deed: Deed, @Res() response: any) {
    await act(session, deed);
    response.send('hello');
  }

  /** The handler is over long before anything is done or sent, as with an API of callbacks. */
  @Get('res-later')
  @other()
  resLater(@Session() session: AnySession, @Query() deed: Deed, @Res() response: any) {
    void settle(3)
      .then(() => act(session, deed))
      .then(() => response.send('hello'));
  }

  @Get('res-json')
  @other()
  async resJson(@Session() session: AnySession, @Query() deed: Deed, @Res() response: any) {
    await act(session, deed);
    response.status(202);
    if (response.json) response.json({ hello: 'you' });
    else response.send({ hello: 'you' });
  }

  @Get('res-end')
  async resEnd(@Session() session: AnySession, @Query() deed: Deed, @Res() response: any) {
    await act(session, deed);
    const raw = rawResponse(response);
    raw.setHeader('Set-Cookie', OTHER);
    raw.end('hello');
  }

  @Get('res-redirect')
  @other()
  async resRedirect(@Session() session: AnySession, @Query() deed: Deed, @Res() response: any) {
    await act(session, deed);
    response.status(302).redirect('/elsewhere');
  }

  @Get('res-file')
  @other()
  async resFile(@Session() session: AnySession, @Query() deed: Deed, @Res() response: any) {
    await act(session, deed);
    if (response.sendFile) response.sendFile(FILE);
    else response.type('text/plain').send(createReadStream(FILE));
  }

  @Get('res-pipe')
  async resPipe(@Session() session: AnySession, @Query() deed: Deed, @Res() response: any) {
    await act(session, deed);
    const raw = rawResponse(response);
    raw.setHeader('Set-Cookie', OTHER);
    Readable.from(['hel', 'lo']).pipe(raw);
  }

  @Get('passthrough')
  async passthrough(
    @Session() session: AnySession,
    @Query() deed: Deed,
    @Res({ passthrough: true }) response: any,
  ) {
    response.status(206).header('Set-Cookie', OTHER);
    await act(session, deed);
    return 'hello';
  }

  @Get('redirect')
  @Redirect('/elsewhere', 303)
  @other()
  async redirect(@Session() session: AnySession, @Query() deed: Deed) {
    await act(session, deed);
  }

  @Get('streamable-buffer')
  @other()
  async streamableBuffer(@Session() session: AnySession, @Query() deed: Deed) {
    await act(session, deed);
    return new StreamableFile(Buffer.from('hello'), { length: 5 });
  }

  @Get('streamable-stream')
  @other()
  async streamableStream(@Session() session: AnySession, @Query() deed: Deed) {
    await act(session, deed);
    return new StreamableFile(createReadStream(FILE));
  }

  @Sse('sse')
  @other()
  async sse(@Session() session: AnySession, @Query() deed: Deed): Promise<Observable<{ data: string }>> {
    await act(session, deed);
    return from([{ data: 'one' }, { data: 'two' }]);
  }

  @Get('not-modified')
  @HttpCode(304)
  @other()
  async notModified(@Session() session: AnySession, @Query() deed: Deed) {
    await act(session, deed);
  }

  @Get('guard-denies')
  @UseGuards(DenyingGuard)
  guardDenies() {
    throw new Error('never runs');
  }

  @Get('guard-denies-session-route')
  @UseGuards(DenyingGuard)
  guardDeniesSessionRoute(@Session() session: AnySession) {
    return session.handle;
  }

  @Get('guard-acts')
  @UseGuards(ActingGuard)
  guardActs() {
    return 'hello';
  }

  @Get('pipe-error')
  @UseGuards(ActingGuard)
  pipeError(@Query('never', ParseIntPipe) _number: number) {
    throw new Error('never runs');
  }

  @Get('http-exception')
  @other()
  async httpException(@Session() session: AnySession, @Query() deed: Deed) {
    await act(session, deed);
    throw new HttpException({ short: 'and stout' }, HttpStatus.I_AM_A_TEAPOT);
  }

  @Get('error')
  @other()
  async error(@Session() session: AnySession, @Query() deed: Deed) {
    await act(session, deed);
    throw new Error('a bug of the application');
  }

  @Get('not-found')
  @other()
  async notFound(@Session() session: AnySession, @Query() deed: Deed) {
    await act(session, deed);
    throw new NotFoundException();
  }

  @Get('filter-redirects')
  @UseFilters(RedirectFilter)
  @other()
  async filterRedirects(@Session() session: AnySession, @Query() deed: Deed) {
    await act(session, deed);
    throw new Trouble();
  }

  @Get('filter-writes')
  @UseFilters(WritingFilter)
  @other()
  filterWrites() {
    throw new Trouble();
  }

  @Get('filter-writes-more')
  @UseFilters(WritingFilter)
  @other()
  filterWritesMore(@Session() session: AnySession) {
    session.get('n');
    throw new Trouble();
  }

  @Get('store-of')
  @other()
  async storeOf(@Req() request: any, @Query() deed: Deed) {
    await act(await this.store.of(request), deed);
    return 'hello';
  }

  @Get('raw-object')
  async rawObject(@Session() session: AnySession, @Query() deed: Deed, @Res() response: any) {
    await act(session, deed);
    rawResponse(response)
      .writeHead(207, { 'Content-Type': 'text/plain', 'Content-Length': 5, 'set-cookie': OTHER })
      .end('hello');
  }

  @Get('raw-upper-case')
  async rawUpperCase(@Session() session: AnySession, @Query() deed: Deed, @Res() response: any) {
    await act(session, deed);
    const raw = rawResponse(response);
    raw.writeHead(207, {
      'Content-Type': 'text/plain',
      'Content-Length': '5',
      'SET-COOKIE': [OTHER, 'more=2'],
    });
    raw.write('hel');
    raw.end('lo');
  }

  @Get('raw-array')
  async rawArray(@Session() session: AnySession, @Query() deed: Deed, @Res() response: any) {
    await act(session, deed);
    const raw = rawResponse(response);
    raw.writeHead(207, ['Set-Cookie', OTHER, 'Content-Type', 'text/plain'] as any);
    raw.write('hel');
    raw.end('lo');
  }

  @Get('raw-array-twice')
  async rawArrayTwice(@Session() session: AnySession, @Query() deed: Deed, @Res() response: any) {
    await act(session, deed);
    rawResponse(response)
      .writeHead(207, ['Set-Cookie', OTHER, 'Content-Type', 'text/plain', 'set-cookie', 'more=2'] as any)
      .end('hello');
  }

  @Get('raw-message')
  async rawMessage(@Session() session: AnySession, @Query() deed: Deed, @Res() response: any) {
    await act(session, deed);
    const raw = rawResponse(response);
    raw.setHeader('Set-Cookie', OTHER);
    raw.writeHead(207, 'Much', { 'Content-Type': 'text/plain' });
    raw.end('hello');
  }

  @Get('raw-implicit')
  async rawImplicit(@Session() session: AnySession, @Query() deed: Deed, @Res() response: any) {
    await act(session, deed);
    const raw = rawResponse(response);
    raw.statusCode = 207;
    raw.setHeader('Set-Cookie', OTHER);
    raw.write('hel');
    raw.write(Buffer.from('lo'));
    raw.end();
  }

  @Get('raw-full-length')
  async rawFullLength(@Session() session: AnySession, @Query() deed: Deed, @Res() response: any) {
    await act(session, deed);
    const raw = rawResponse(response);
    raw.writeHead(200, { 'Content-Length': 5, 'Set-Cookie': OTHER });
    raw.write('hello');
    raw.end();
  }

  @Get('raw-nothing')
  async rawNothing(@Session() session: AnySession, @Query() deed: Deed, @Res() response: any) {
    await act(session, deed);
    const raw = rawResponse(response);
    raw.statusCode = 204;
    raw.setHeader('Set-Cookie', OTHER);
    raw.end();
  }

  @Get('raw-hints')
  async rawHints(@Session() session: AnySession, @Query() deed: Deed, @Res() response: any) {
    await act(session, deed);
    const raw = rawResponse(response);
    raw.writeEarlyHints({ link: '</style.css>; rel=preload; as=style' });
    raw.setHeader('Set-Cookie', OTHER);
    raw.end('hello');
  }

  @Get('raw-corked')
  async rawCorked(@Session() session: AnySession, @Query() deed: Deed, @Res() response: any) {
    await act(session, deed);
    const raw = rawResponse(response);
    raw.setHeader('Set-Cookie', OTHER);
    raw.cork();
    raw.write('');
    raw.write('hel');
    raw.uncork();
    raw.end('lo', undefined as any, undefined);
  }

  @Get('raw-flush')
  async rawFlush(@Session() session: AnySession, @Query() deed: Deed, @Res() response: any) {
    await act(session, deed);
    const raw = rawResponse(response);
    raw.setHeader('Set-Cookie', OTHER);
    raw.flushHeaders();
    raw.end('hello');
  }
}

@Injectable()
class OuterInterceptor implements NestInterceptor {
  constructor(private readonly store: SessionStore<Bag>) {}

  intercept(context: ExecutionContext, next: CallHandler) {
    const http = context.switchToHttp();
    const { path } = http.getRequest().params;
    return next.handle().pipe(
      catchError((error: unknown) => {
        if (path === 'catches') return of('caught');
        throw error;
      }),
      concatMap(async (value: unknown) => {
        if (path === 'writes') await act(await this.store.of(context), http.getRequest().query);
        if (path === 'cookie') http.getResponse().header('Set-Cookie', OTHER);
        return value;
      }),
    );
  }
}

/** Has an interceptor around everything that the session's own one sees. */
@Controller('outer')
@UseInterceptors(OuterInterceptor)
class OuterController {
  @Get('cookie/:path')
  async cookie(@Session() session: AnySession, @Query() deed: Deed) {
    await act(session, deed);
    return 'hello';
  }

  @Get('writes/:path')
  @other()
  writes(@Session() session: AnySession) {
    session.get('n');
    return 'hello';
  }

  @Get('catches/:path')
  @other()
  async catches(@Session() session: AnySession, @Query() deed: Deed) {
    await act(session, deed);
    throw new Error('somebody catches it');
  }
}

@Controller('middleware')
class MiddlewareController {
  @Get('passes')
  passes() {
    return 'hello';
  }

  @Get('session-route')
  sessionRoute(@Session() session: AnySession) {
    return { n: session.get('n') ?? null };
  }
}

@Module({ controllers: [WaysController, OuterController, MiddlewareController] })
export class WaysModule implements NestModule {
  constructor(private readonly store: SessionStore<Bag>) {}

  configure(consumer: MiddlewareConsumer) {
    const middleware = async (request: any, response: any, next: (error?: unknown) => void) => {
      try {
        const url: string = request.originalUrl ?? request.url;
        addOther(response);
        await act(await this.store.of(request, response), deedOf(url));
        if (!url.includes('/ends')) return next();
        response.statusCode = 203;
        response.end('from the middleware');
      } catch (error) {
        next(error);
      }
    };
    consumer.apply(middleware).forRoutes('middleware/*path');
  }
}

export interface Way {
  readonly path: string;
  readonly status: number;
  /** The whole body of a GET; a function of the platform where the two differ. */
  readonly body?: string | RegExp | ((platform: Platform) => string);
  readonly method?: 'HEAD';
  /** Has a Content-Length over HTTP/1.1 without a session, so it has to have one with it. */
  readonly measured?: true;
  /** Cookies of the application's own. */
  readonly cookies?: readonly string[];
  /** Also part of what is tried over HTTP/2. */
  readonly http2?: true;
  readonly only?: Platform;
}

/** Every way in which a response can leave. */
const ways: readonly Way[] = [
  { path: '/ways/string', status: 200, body: 'hello', http2: true, measured: true },
  { path: '/ways/object', status: 200, body: '{"hello":"you"}', http2: true, measured: true },
  {
    path: '/ways/buffer',
    status: 200,
    body: (platform) => (platform === 'express' ? JSON.stringify(Buffer.from('hello')) : 'hello'),
  },
  { path: '/ways/undefined', status: 200, body: '' },
  { path: '/ways/no-content', status: 204, body: '', http2: true },
  { path: '/ways/observable', status: 200, body: '{"hello":"you"}' },
  { path: '/ways/observable-late', status: 200, body: '{"hello":"you"}' },
  { path: '/ways/async-generator', status: 200, body: 'hello' },
  { path: '/ways/web-response', status: 203, body: 'hello' },
  { path: '/ways/res-send', status: 200, body: 'hello', http2: true, measured: true },
  { path: '/ways/res-later', status: 200, body: 'hello', http2: true, measured: true },
  { path: '/ways/res-json', status: 202, body: '{"hello":"you"}', measured: true },
  { path: '/ways/res-end', status: 200, body: 'hello', http2: true, measured: true },
  { path: '/ways/res-redirect', status: 302, http2: true },
  { path: '/ways/res-file', status: 200, body: 'what the file says\n' },
  { path: '/ways/res-pipe', status: 200, body: 'hello' },
  { path: '/ways/passthrough', status: 206, body: 'hello' },
  { path: '/ways/redirect', status: 303 },
  { path: '/ways/streamable-buffer', status: 200, body: 'hello' },
  { path: '/ways/streamable-stream', status: 200, body: 'what the file says\n', http2: true },
  { path: '/ways/sse', status: 200, body: /data: one\n\n[^]*data: two\n\n/, http2: true },
  { path: '/ways/string', method: 'HEAD', status: 200, measured: true, http2: true },
  { path: '/ways/streamable-buffer', method: 'HEAD', status: 200 },
  { path: '/ways/not-modified', status: 304, body: '' },
  { path: '/ways/guard-denies', status: 403, body: /Forbidden/, http2: true, measured: true },
  { path: '/ways/guard-denies-session-route', status: 403, body: /Forbidden/ },
  { path: '/ways/guard-acts', status: 200, body: 'hello' },
  { path: '/ways/pipe-error', status: 400, body: /numeric string/ },
  { path: '/ways/http-exception', status: 418, body: '{"short":"and stout"}', http2: true, measured: true },
  { path: '/ways/error', status: 500, body: /Internal server error/, http2: true },
  { path: '/ways/not-found', status: 404, body: /Not Found/ },
  { path: '/ways/filter-redirects', status: 302 },
  { path: '/ways/filter-writes', status: 409, body: '{"sorry":true}' },
  { path: '/ways/filter-writes-more', status: 409, body: '{"sorry":true}' },
  { path: '/ways/store-of', status: 200, body: 'hello' },
  { path: '/ways/raw-object', status: 207, body: 'hello', http2: true, measured: true },
  { path: '/ways/raw-upper-case', status: 207, body: 'hello', cookies: [OTHER, 'more=2'], http2: true },
  { path: '/ways/raw-array', status: 207, body: 'hello' },
  // Node itself keeps only the last of a name once a header was set before, and Express sets one.
  { path: '/ways/raw-array-twice', status: 207, body: 'hello', cookies: [OTHER, 'more=2'], only: 'fastify' },
  { path: '/ways/raw-message', status: 207, body: 'hello' },
  { path: '/ways/raw-implicit', status: 207, body: 'hello', http2: true },
  { path: '/ways/raw-full-length', status: 200, body: 'hello', http2: true, measured: true },
  { path: '/ways/raw-nothing', status: 204, body: '', http2: true },
  { path: '/ways/raw-hints', status: 200, body: 'hello', http2: true },
  { path: '/ways/raw-corked', status: 200, body: 'hello' },
  { path: '/ways/raw-flush', status: 200, body: 'hello', http2: true },
  { path: '/outer/cookie/cookie', status: 200, body: 'hello', http2: true },
  { path: '/outer/writes/writes', status: 200, body: 'hello' },
  { path: '/outer/catches/catches', status: 200, body: 'caught' },
  { path: '/middleware/passes', status: 200, body: 'hello', http2: true },
  { path: '/middleware/ends', status: 203, body: 'from the middleware', http2: true },
  { path: '/middleware/nowhere', status: 404, body: /Cannot GET/ },
];

/** The ways that there are here, for `it.each`. */
export const waysOf = ({ platform, http2 = false }: { platform: Platform; http2?: boolean }) =>
  ways
    .filter((way) => (way.only ?? platform) === platform && (way.http2 || !http2))
    .map((way) => [`${way.method ?? 'GET'} ${way.path}`, way] as const);

export const cookiesOf = (way: Way): readonly string[] => way.cookies ?? [OTHER];
