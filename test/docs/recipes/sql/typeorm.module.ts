import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { SessionModule } from 'nest-sessions';
import { SqlStorage } from 'nest-sessions/sql';
import { DataSource } from 'typeorm';

@Module({
  imports: [
    TypeOrmModule.forRoot({ type: 'postgres', url: process.env.DATABASE_URL }),
    SessionModule.forRootAsync({
      inject: [DataSource],
      useFactory: (dataSource: DataSource) => ({ storage: new SqlStorage(dataSource) }),
    }),
  ],
})
export class AppModule {}
