import { Controller, Post, Redirect, UseGuards } from '@nestjs/common';
import { Session, SessionGuard, type SessionInfo, SessionStore } from 'nest-sessions';

import { Field } from '../web/field.decorator.js';
import { Page } from '../web/page.decorator.js';
import { Views } from '../web/views.js';

@Controller('devices')
@UseGuards(SessionGuard)
export class DevicesController {
  constructor(
    private readonly store: SessionStore,
    private readonly views: Views,
  ) {}

  @Page()
  async list(@Session() session: Session) {
    return this.views.page(session, 'devices', { devices: await this.mine(session) });
  }

  /** A handle is public, and so no proof of anything: it must be one of the user's own. */
  @Post('end')
  @Redirect('/devices', 303)
  async end(@Session() session: Session, @Field('handle') handle: string) {
    const device = (await this.mine(session)).find((info) => info.handle === handle && !info.current);
    if (!device || !(await this.store.revoke(handle))) return;
    session.flash('notice', `${device.name} is logged out.`);
  }

  @Post('end-others')
  @Redirect('/devices', 303)
  async endOthers(@Session() session: Session) {
    const ended = await this.store.destroyByUser(session.userId!, { except: session.handle });
    session.flash(
      'notice',
      ended === 1 ? 'One other device is logged out.' : `${ended} other devices are logged out.`,
    );
  }

  /** The user's sessions: this one, then those that were used last. */
  private async mine(session: Session) {
    const infos = await this.store.listByUser(session.userId!);
    const names = distinctNames(infos);
    return infos
      .map((info) => ({ ...info, name: names.get(info.handle)!, current: info.handle === session.handle }))
      .sort((a, b) => Number(b.current) - Number(a.current));
  }
}

/** By handle; the second login from one kind of browser is `Safari on iOS (2)`. */
function distinctNames(infos: SessionInfo[]): Map<string, string> {
  const seen = new Map<string, number>();
  const inOrder = infos.toSorted((a, b) => Number(a.authenticatedAt) - Number(b.authenticatedAt));
  return new Map(
    inOrder.map(({ handle, client }) => {
      const name: string = client?.device ?? 'A browser';
      const count = (seen.get(name) ?? 0) + 1;
      seen.set(name, count);
      return [handle, count === 1 ? name : `${name} (${count})`];
    }),
  );
}
