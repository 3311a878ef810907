import type { Attempts } from './attempts.js';
import type { Dialect, SqlError } from './dialects/dialect.js';
import { compile } from './statements.js';

/**
 * Looks whether the tables are there, and makes them if they are to be made. Any number of processes may do so at
 * once.
 *
 * @throws {Error} with the statements in it, when they are not there and were not to be made, or could not be
 */
export async function prepareTables(
  attempts: Attempts,
  dialect: Dialect,
  createTable: boolean,
): Promise<void> {
  const missing = await look(attempts, dialect);
  if (!missing) return;
  const version = await versionOf(attempts, dialect);
  const ddl = dialect.ddl({ ifNotExists: true, version });
  const refuse = (reason: string, cause: unknown): never => {
    throw new Error(
      `SqlStorage: the tables are not there, or lack something${reason}. These statements create them, ` +
        `in a migration or by hand:\n\n${ddl.join(';\n')};\n`,
      { cause },
    );
  };
  if (!createTable) return refuse(', and createTable is false', missing);
  let failure: unknown;
  try {
    await attempts.transaction(
      dialect.beginDdl?.map((text) => compile(text)),
      async (step) => {
        for (const text of ddl) await step(compile(text), {});
      },
    );
  } catch (error) {
    failure = error;
  }
  // Somebody else may have made them meanwhile; and what was there before may be something else.
  const still = await look(attempts, dialect);
  if (still) refuse(`: ${((failure ?? still) as Error).message}`, failure ?? still);
}

/** The failure that says that a table is not there, if so. */
async function look(attempts: Attempts, dialect: Dialect): Promise<SqlError | undefined> {
  try {
    await attempts.run(dialect.statements.look, {}, attempts.patient);
    return undefined;
  } catch (error) {
    if (dialect.isMissing(error as SqlError)) return error as SqlError;
    throw error;
  }
}

async function versionOf(attempts: Attempts, dialect: Dialect): Promise<string | undefined> {
  if (dialect.version === undefined) return undefined;
  const { rows } = await attempts.run(compile(dialect.version), {}, attempts.patient);
  return String(rows[0]['version']);
}
