import { applyDecorators, Get, Header } from '@nestjs/common';

/** A GET route whose answer is HTML for this visitor only. */
export const Page = (path?: string) =>
  applyDecorators(
    Get(path),
    Header('content-type', 'text/html; charset=utf-8'),
    Header('cache-control', 'no-store'),
    Header(
      'content-security-policy',
      "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
  );
