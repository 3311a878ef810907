import { Controller, Get, Module } from '@nestjs/common';
import { type InferSessionData, Session, SessionModule } from 'nest-sessions';
import { z } from 'zod';

const schema = {
  cart: z.array(z.object({ sku: z.string(), qty: z.number() })).default([]),
  theme: z.enum(['light', 'dark']).default('light'),
};
type Data = InferSessionData<typeof schema>;

@Controller()
export class CartController {
  @Get('cart')
  cart(@Session() session: Session<Data>) {
    return session.get('cart'); // a list of items, for a new visitor too
  }
}

@Module({
  imports: [SessionModule.forRoot({ schema })],
  controllers: [CartController],
})
export class AppModule {}
