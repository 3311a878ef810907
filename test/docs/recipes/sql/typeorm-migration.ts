import { SqlStorage } from 'nest-sessions/sql';
import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Sessions1700000000000 implements MigrationInterface {
  async up(queryRunner: QueryRunner) {
    const ddl = SqlStorage.ddl('postgres', { userId: 'uuid', references: 'users(id)' });
    for (const statement of ddl.split(';\n')) if (statement) await queryRunner.query(statement);
  }

  async down(queryRunner: QueryRunner) {
    await queryRunner.query('DROP TABLE sessions, sessions_leases');
  }
}
