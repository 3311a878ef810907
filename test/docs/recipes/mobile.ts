import type { INestApplication } from '@nestjs/common';
import { SessionModule } from 'nest-sessions';

export const modules = () => {
  SessionModule.forRoot({ transport: ['cookie', 'bearer'] });
};

/** Calls the server in the session that the token stands for; the token is kept where `keep` puts it. */
export class SessionClient {
  constructor(
    private readonly server: string,
    private token: string | undefined,
    private readonly keep: (token: string | undefined) => void,
  ) {}

  async call(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set('X-Session-Transport', 'bearer');
    if (this.token) headers.set('Authorization', `Bearer ${this.token}`);
    const response = await fetch(new URL(path, this.server), { ...init, headers });
    const told = response.headers.get('X-Session-Token');
    if (told !== null) this.keep((this.token = told || undefined));
    return response;
  }
}

export function letSend(app: INestApplication) {
  app.enableCors({ origin: ['capacitor://localhost', 'https://partner.example'] });
}
