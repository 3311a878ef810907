import { applyDecorators, Get, Header } from '@nestjs/common';

/** What a page may load and do. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "style-src 'self'",
  "script-src 'self'",
  "connect-src 'self'",
  'img-src data:',
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** A GET route whose answer is HTML for this visitor only. */
export const Page = (path?: string) =>
  applyDecorators(
    Get(path),
    Header('content-type', 'text/html; charset=utf-8'),
    Header('cache-control', 'no-store'),
    Header('content-security-policy', CONTENT_SECURITY_POLICY),
  );
