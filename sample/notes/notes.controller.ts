import { Controller, Post, Redirect } from '@nestjs/common';
import { Session } from 'nest-sessions';

import { Field } from '../web/field.decorator.js';
import { Page } from '../web/page.decorator.js';
import { Views } from '../web/views.js';

/** A session is no data base: it holds a few things, not many. */
const MAX_NOTES = 20;

@Controller('notes')
export class NotesController {
  constructor(private readonly views: Views) {}

  @Page()
  list(@Session() session: Session) {
    const notes = session.get('notes') ?? [];
    return this.views.page(session, 'notes', { notes, full: notes.length >= MAX_NOTES });
  }

  @Post('add')
  @Redirect('/notes', 303)
  add(@Session() session: Session, @Field('text') text: string) {
    const notes = session.get('notes') ?? [];
    if (text.trim() === '') session.flash('notice', 'There is nothing on that note.');
    else if (notes.length >= MAX_NOTES) session.flash('notice', `${MAX_NOTES} notes are enough.`);
    else session.set('notes', [...notes, text.trim()]);
  }

  /** An index that is no note's, whatever it is, removes nothing. */
  @Post('remove')
  @Redirect('/notes', 303)
  remove(@Session() session: Session, @Field('index') index: string) {
    const notes = session.get('notes') ?? [];
    const rest = notes.filter((_, i) => String(i) !== index);
    if (rest.length < notes.length) session.set('notes', rest);
  }
}
