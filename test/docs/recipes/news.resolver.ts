import { UseGuards } from '@nestjs/common';
import { Resolver, Subscription } from '@nestjs/graphql';
import { Session, SessionGuard } from 'nest-sessions';

export abstract class Topics {
  abstract follow(topic: string): AsyncIterable<{ readonly news: string }>;
}

@Resolver()
export class NewsResolver {
  constructor(private readonly topics: Topics) {}

  @Subscription(() => String)
  @UseGuards(SessionGuard)
  news(@Session('topic') topic = 'all') {
    return this.topics.follow(topic);
  }
}
