import { Injectable } from '@nestjs/common';

/** Stands for whatever must not be done twice. */
@Injectable()
export class Mail {
  readonly sent: string[] = [];

  async send(text: string): Promise<void> {
    await new Promise(setImmediate);
    this.sent.push(text);
  }
}
