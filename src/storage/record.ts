/** What rests in a storage. All times are milliseconds since the Unix epoch, by the application's clock. */
export interface SessionRecord {
  /** Public name of the record: 22 base64url characters, stable for the session's life. */
  readonly handle: string;
  /** SHA-256 of the id's secret part, 43 base64url characters. The only thing that is stored of it (S8). */
  readonly proof: string;
  readonly createdAt: number;
  /** Last use, to within `touchAfter`. */
  readonly touchedAt: number;
  /** The session is dead as soon as `now >= expiresAt` (S21). */
  readonly expiresAt: number;
  /** When the user logged in, if somebody did. */
  readonly authenticatedAt?: number | undefined;
  /** This session's own idle timeout in milliseconds, if it has one. */
  readonly ttl?: number | undefined;
  /** Well-formed Unicode, not empty, compared by code units (S59). */
  readonly userId?: string | undefined;
  /** What is known of the client, encoded like a value. A storage never looks inside. */
  readonly client?: string | undefined;
  /** One encoded value per top-level key. Keys are well-formed Unicode; a value is any text, NUL included. */
  readonly data: Readonly<Record<string, string>>;
}

/**
 * An object whose only keys are its own: `__proto__` is a key like any other (S48). An object without a
 * prototype would be that too, but V8 keeps those as hash tables: three times slower to fill.
 */
export const RecordData = function () {} as unknown as new <T = string>() => Record<string, T>;
RecordData.prototype = Object.freeze(Object.create(null));
