import { ApolloDriver, type ApolloDriverConfig } from '@nestjs/apollo';
import { Module } from '@nestjs/common';
import { GraphQLModule } from '@nestjs/graphql';
import { SessionModule } from 'nest-sessions';
import { AccountResolver } from './account.resolver.js';
import { Users } from './users.js';

@Module({
  imports: [
    SessionModule.forRoot({ ttl: '1h' }),
    GraphQLModule.forRoot<ApolloDriverConfig>({ driver: ApolloDriver, autoSchemaFile: true }),
  ],
  providers: [AccountResolver, Users],
})
export class AppModule {}
