/** What the HTTP side is told, once options are checked. */
export interface HttpSettings {
  readonly cookieName: string;
  readonly cookie: any;
  readonly secrets: readonly string[];
}
