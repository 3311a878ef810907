import { UnauthorizedException, UseGuards } from '@nestjs/common';
import { Args, Mutation, Query, Resolver } from '@nestjs/graphql';
import { Session, SessionGuard } from 'nest-sessions';
import { Users } from './users.js';

@Resolver()
export class AccountResolver {
  constructor(private readonly users: Users) {}

  @Query(() => String)
  @UseGuards(SessionGuard)
  me(@Session() session: Session) {
    return session.userId;
  }

  @Query(() => String)
  theme(@Session('theme') theme = 'light') {
    return theme;
  }

  @Mutation(() => Boolean)
  async login(@Session() session: Session, @Args('name') name: string, @Args('password') password: string) {
    const user = await this.users.verify(name, password);
    if (!user) throw new UnauthorizedException();
    await session.login(user.id); // the answer to this operation sets the cookie
    return true;
  }
}
