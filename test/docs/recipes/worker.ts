import { Injectable } from '@nestjs/common';
import { SessionGoneError, SessionStore } from 'nest-sessions';

@Injectable()
export class ExportWorker {
  constructor(private readonly store: SessionStore<{ exported: number }>) {}

  /** Called by a queue; false if the visitor has logged out meanwhile. */
  async finished(id: string, rows: number): Promise<boolean> {
    try {
      await this.store.tap(id, (data) => (data.exported = rows));
      return true;
    } catch (error) {
      if (error instanceof SessionGoneError) return false;
      throw error;
    }
  }
}
