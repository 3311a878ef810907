import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { describeSessionStorage } from 'nest-sessions/testing';
import { SqliteStorage } from './custom-storage.js';

let directory: string;
let connections: Database.Database[] = [];

/** A connection of its own to the database of this test. */
function connect(): Database.Database {
  const connection = new Database(join(directory, 'sessions.db'));
  connection.pragma('journal_mode = wal');
  connection.pragma('synchronous = off');
  connections.push(connection);
  return connection;
}

describeSessionStorage(
  'SqliteStorage',
  ({ now }) => {
    directory = mkdtempSync(join(tmpdir(), 'nest-sessions-'));
    return new SqliteStorage(connect(), now);
  },
  {
    second: (_first, { now }) => new SqliteStorage(connect(), now),
    without: ['alive', 'ping'],
    cleanup: () => {
      for (const connection of connections) connection.close();
      connections = [];
      rmSync(directory, { recursive: true });
    },
  },
);
