import { createParamDecorator, type ExecutionContext } from '@nestjs/common';

/**
 * One text field of a form, `''` when it is missing. A client can send anything (lists, objects,
 * megabytes); what a handler gets is a string of at most 200 characters.
 */
export const Field = createParamDecorator((name: string, context: ExecutionContext): string => {
  const { body } = context.switchToHttp().getRequest<{ body?: Record<string, unknown> }>();
  const value = body?.[name];
  return typeof value === 'string' ? value.slice(0, 200) : '';
});
