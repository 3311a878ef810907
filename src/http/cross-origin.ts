import type { CookieRequest } from './request.js';
export interface CrossOriginRule {
  readonly mode: 'refuse' | 'log' | 'allow';
  readonly trustedOrigins: ReadonlySet<string>;
}
export function crossOriginProblem(_request: CookieRequest, _rule: CrossOriginRule): string | undefined {
  return undefined;
}
