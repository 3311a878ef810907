import { Injectable } from '@nestjs/common';
import { SessionStore } from 'nest-sessions';

@Injectable()
export class VisitsService {
  constructor(private readonly store: SessionStore) {}

  visitors(): Promise<number> {
    return this.store.count();
  }
}
