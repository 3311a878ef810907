import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';

export interface SetCookie {
  readonly raw: string;
  readonly name: string;
  readonly value: string;
  /** By lower-case name; an attribute without a value has ''. */
  readonly attributes: ReadonlyMap<string, string>;
}

export interface Reply {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly setCookies: readonly SetCookie[];
  readonly bytes: Buffer;
  readonly text: string;
  json<T = any>(): T;
}

export interface Asking {
  method?: string;
  headers?: http.OutgoingHttpHeaders;
  /** Sent as JSON. */
  body?: unknown;
  /** The Cookie header, instead of the one that the jar makes. */
  cookie?: string;
  /** Called synchronously at the moment the last byte of the response is here. */
  atEnd?: () => void;
  /** Do not read the body before `resume()`. */
  paused?: boolean;
}

/** A request under way. */
export interface Exchange {
  readonly head: Promise<Omit<Reply, 'bytes' | 'text' | 'json'>>;
  readonly done: Promise<Reply>;
  readonly finished: boolean;
  /** Resolves with the first piece of the body. */
  readonly firstData: Promise<Buffer>;
  abort(): void;
  resume(): void;
}

export function parseSetCookie(raw: string): SetCookie {
  const [pair = '', ...rest] = raw.split(/; ?/);
  const at = pair.indexOf('=');
  const attributes = new Map(
    rest.map((part) => {
      const [name = '', value = ''] = part.split('=', 2);
      return [name.toLowerCase(), value] as const;
    }),
  );
  return { raw, name: pair.slice(0, at), value: pair.slice(at + 1), attributes };
}

/** Whether a cookie tells the browser to forget it. */
export function isClearing(cookie: SetCookie): boolean {
  const { attributes } = cookie;
  return (
    attributes.get('max-age') === '0' ||
    (attributes.has('expires') && Date.parse(attributes.get('expires')!) <= 1_000_000)
  );
}

/** One browser: a cookie jar, and either one HTTP/1.1 socket at a time or as many as it likes, or HTTP/2. */
export class Client {
  readonly jar = new Map<string, string>();
  private readonly agent: http.Agent;
  private h2: http2.ClientHttp2Session | undefined;

  constructor(
    private readonly port: number,
    private readonly options: { http2?: boolean; oneSocket?: boolean } = {},
  ) {
    this.agent = new http.Agent({ keepAlive: true, maxSockets: options.oneSocket ? 1 : Infinity });
  }

  /** The session cookie's value as it is in the jar. */
  get sid(): string {
    return this.jar.get('sid') ?? '';
  }

  /** The public half of the id in the jar. */
  get handle(): string {
    return handleOf(this.sid);
  }

  get(path: string, asking: Asking = {}): Promise<Reply> {
    return this.open(path, asking).done;
  }

  post(path: string, asking: Asking = {}): Promise<Reply> {
    return this.open(path, { method: 'POST', ...asking }).done;
  }

  open(path: string, asking: Asking = {}): Exchange {
    const cookie = asking.cookie ?? [...this.jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const body = asking.body === undefined ? undefined : JSON.stringify(asking.body);
    const headers: http.OutgoingHttpHeaders = { ...asking.headers };
    if (cookie) headers['cookie'] = cookie;
    if (body) headers['content-type'] ??= 'application/json';
    const method = asking.method ?? 'GET';
    return this.options.http2
      ? this.openHttp2(method, path, headers, body, asking)
      : this.openHttp1(method, path, headers, body, asking);
  }

  close(): void {
    this.agent.destroy();
    this.h2?.destroy();
  }

  private openHttp1(
    method: string,
    path: string,
    headers: http.OutgoingHttpHeaders,
    body: string | undefined,
    asking: Asking,
  ): Exchange {
    const collector = new Collector(this.jar, asking);
    const request = http.request({
      host: '127.0.0.1',
      port: this.port,
      method,
      path,
      headers,
      agent: this.agent,
    });
    let response: http.IncomingMessage | undefined;
    collector.abort = () => void request.destroy();
    collector.resume = () =>
      void (response ? response.resume() : request.once('response', (r) => r.resume()));
    request.on('error', (error) => collector.fail(error));
    request.on('response', (incoming) => {
      response = incoming;
      const bodyless = method === 'HEAD' || incoming.statusCode === 304 || incoming.statusCode === 204;
      collector.start(incoming.statusCode!, incoming.headers, bodyless);
      incoming.on('data', (chunk: Buffer) => collector.data(chunk));
      if (asking.paused) incoming.pause();
      incoming.on('end', () => collector.end());
      incoming.on('error', (error) => collector.fail(error));
      incoming.on('close', () => collector.fail(new Error('The response broke off')));
    });
    request.end(body);
    return collector;
  }

  private openHttp2(
    method: string,
    path: string,
    headers: http.OutgoingHttpHeaders,
    body: string | undefined,
    asking: Asking,
  ): Exchange {
    const collector = new Collector(this.jar, asking);
    this.h2 ??= http2.connect(`http://127.0.0.1:${this.port}`).on('error', () => undefined);
    const stream = this.h2.request(
      { ':method': method, ':path': path, ...headers },
      { endStream: body === undefined },
    );
    collector.abort = () => void stream.close(http2.constants.NGHTTP2_CANCEL);
    collector.resume = () => void stream.resume();
    stream.on('error', (error) => collector.fail(error));
    stream.on('response', (head) => {
      collector.start(head[':status']!, head, method === 'HEAD');
      stream.on('data', (chunk: Buffer) => collector.data(chunk));
      if (asking.paused) stream.pause();
      stream.on('end', () => collector.end());
    });
    stream.on('close', () => collector.fail(new Error('The stream broke off')));
    if (body !== undefined) stream.end(body);
    return collector;
  }
}

export const handleOf = (id: string): string => id.slice(0, id.indexOf('.'));

class Collector implements Exchange {
  finished = false;
  abort: () => void = () => undefined;
  resume: () => void = () => undefined;
  readonly head: Exchange['head'];
  readonly done: Promise<Reply>;
  readonly firstData: Promise<Buffer>;
  private resolveHead!: (head: Awaited<Exchange['head']>) => void;
  private resolveDone!: (reply: Reply) => void;
  private resolveFirst!: (chunk: Buffer) => void;
  private readonly reject: ((error: Error) => void)[] = [];
  private readonly chunks: Buffer[] = [];
  private length = 0;
  private expected = Infinity;
  private started: Awaited<Exchange['head']> | undefined;
  private reported = false;

  constructor(
    private readonly jar: Map<string, string>,
    private readonly asking: Asking,
  ) {
    this.head = this.promise((resolve) => (this.resolveHead = resolve));
    this.done = this.promise((resolve) => (this.resolveDone = resolve));
    this.firstData = this.promise((resolve) => (this.resolveFirst = resolve));
  }

  start(status: number, headers: http.IncomingHttpHeaders, bodyless: boolean): void {
    const setCookies = (headers['set-cookie'] ?? []).map(parseSetCookie);
    for (const cookie of setCookies) {
      if (isClearing(cookie)) this.jar.delete(cookie.name);
      else this.jar.set(cookie.name, cookie.value);
    }
    if (headers['content-length'] !== undefined && !bodyless)
      this.expected = Number(headers['content-length']);
    this.started = { status, headers, setCookies };
    this.resolveHead(this.started);
  }

  data(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.length += chunk.length;
    if (this.length >= this.expected) this.complete();
    this.resolveFirst(chunk);
  }

  end(): void {
    this.complete();
    if (this.finished) return;
    this.finished = true;
    const bytes = Buffer.concat(this.chunks);
    const text = bytes.toString();
    this.resolveDone({ ...this.started!, bytes, text, json: () => JSON.parse(text) });
  }

  fail(error: Error): void {
    for (const reject of this.reject) reject(error);
  }

  /** All bytes are here: with a Content-Length that is before the message's end is noticed. */
  private complete(): void {
    if (this.reported) return;
    this.reported = true;
    this.asking.atEnd?.();
  }

  private promise<T>(take: (resolve: (value: T) => void) => void): Promise<T> {
    const promise = new Promise<T>((resolve, reject) => {
      take(resolve);
      this.reject.push(reject);
    });
    promise.catch(() => undefined);
    return promise;
  }
}

/** Sends text as it stands and answers with all that came back: for what no HTTP client would send. */
export function sendRaw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(text));
    let answer = '';
    socket.setEncoding('latin1');
    socket.on('data', (chunk) => (answer += chunk));
    socket.on('end', () => resolve(answer));
    socket.on('error', reject);
  });
}
