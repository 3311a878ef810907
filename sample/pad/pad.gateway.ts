import {
  ConnectedSocket,
  MessageBody,
  type OnGatewayConnection,
  SubscribeMessage,
  WebSocketGateway,
} from '@nestjs/websockets';
import { Session } from 'nest-sessions';
import { SessionSockets } from 'nest-sessions/websockets';
import type { Socket } from 'socket.io';

/** A session is no data base: a pad is a slip of paper. */
const MAX_LENGTH = 2_000;

/** The windows of one browser write on one pad; each sees what the others write. */
@WebSocketGateway()
export class PadGateway implements OnGatewayConnection {
  constructor(private readonly sockets: SessionSockets) {}

  /** Nobody gets here who is not logged in: main.ts says so. */
  handleConnection(client: Socket) {
    void client.join(this.sockets.info(client)!.handle);
  }

  /** What the pad says now, for a window that may have missed something. */
  @SubscribeMessage('read')
  read(@Session('pad') text = '') {
    return text;
  }

  @SubscribeMessage('write')
  async write(@Session() session: Session, @MessageBody() text: unknown, @ConnectedSocket() client: Socket) {
    if (typeof text !== 'string') return 'not saved';
    session.set('pad', text.slice(0, MAX_LENGTH));
    await session.save(); // before the others hear of it
    client.to(session.handle).emit('pad', session.get('pad'));
    return 'saved';
  }
}
