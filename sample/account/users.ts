import { scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

import { Injectable } from '@nestjs/common';

export interface User {
  readonly id: string;
  readonly name: string;
}

/**
 * The demo's users. Their passwords are written on the login page; here is `salt.hash`, by scrypt, and a
 * real application has it in its data base.
 */
const USERS: readonly (User & { password: string })[] = [
  {
    id: 'ada',
    name: 'Ada Lovelace',
    password: 'gqUKFnnnL1B7K5aC4rEtYA.zNfKoWAA9TS3sgco_PalSRdW9MOwzT99xOgQtCphPH8',
  },
  {
    id: 'grace',
    name: 'Grace Hopper',
    password: 'EIF12nFf_cfRm1uG3kj08Q.MVzg-mEB8n_3bpQ52vq2RIpfeceedFs0R-MGZCl1msY',
  },
  {
    id: 'katherine',
    name: 'Katherine Johnson',
    password: 'YYZtAGgz_O3GebXSf8eeMQ.fRRpoP95BCxvvSdkPxtHuLmM3N_thmriYETr_4r2ZYQ',
  },
];

const derive = promisify<string, Buffer, number, Buffer>(scrypt);

@Injectable()
export class Users {
  private readonly emails = new Map(USERS.map(({ id }) => [id, `${id}@crumbs.example`]));

  emailOf(id: string): string | undefined {
    return this.emails.get(id);
  }

  setEmail(id: string, email: string): void {
    this.emails.set(id, email);
  }

  /** The user, if the password is theirs. An unknown name takes as long as a wrong password. */
  async verify(id: string, password: string): Promise<User | undefined> {
    const user = USERS.find((candidate) => candidate.id === id);
    const [salt, hash] = (user ?? USERS[0]!).password
      .split('.')
      .map((part) => Buffer.from(part, 'base64url'));
    const right = timingSafeEqual(await derive(password, salt!, hash!.length), hash!);
    return right ? user : undefined;
  }
}
