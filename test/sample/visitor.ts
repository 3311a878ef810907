import { expect } from '@jest/globals';
import request from 'supertest';

export const FIREFOX = 'Mozilla/5.0 (Windows NT 10.0; rv:145.0) Gecko/20100101 Firefox/145.0';
export const SAFARI = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1';

/** A browser as far as a server can tell: it keeps cookies and follows redirects after a POST. */
export class Visitor {
  readonly agent: ReturnType<typeof request.agent>;

  constructor(
    private readonly url: string,
    userAgent = FIREFOX,
  ) {
    this.agent = request.agent(url).set('user-agent', userAgent);
  }

  /** The page, or where it sends: `'-> /login'`. */
  async get(path: string): Promise<string> {
    const response = await this.agent.get(path);
    if (response.status === 303) return `-> ${response.headers.location}`;
    expect([response.status, response.type]).toEqual([200, 'text/html']);
    return response.text;
  }

  /** Sends a form, which must answer with a redirect, and gets the page it leads to. */
  async post(path: string, fields: Record<string, string | string[]> = {}): Promise<string> {
    const response = await this.agent.post(path).type('form').send(fields);
    expect(response.status).toBe(303);
    return this.get(response.headers.location!);
  }

  login(user = 'ada', password = 'engine-1843', more: Record<string, string> = {}): Promise<string> {
    return this.post('/login', { user, password, ...more });
  }

  /** The session id, as the browser holds it. */
  get id(): string | undefined {
    const domain = new URL(this.url).hostname;
    return this.agent.jar.getCookie('sid', { domain, path: '/', secure: false, script: false })?.value;
  }
}
