import {
  ConnectedSocket,
  MessageBody,
  type OnGatewayConnection,
  type OnGatewayDisconnect,
  SubscribeMessage,
  WebSocketGateway,
} from '@nestjs/websockets';
import { Session } from 'nest-sessions';
import { SessionSockets } from 'nest-sessions/websockets';
import type { Socket } from 'socket.io';

@WebSocketGateway()
export class NoteGateway implements OnGatewayConnection, OnGatewayDisconnect {
  constructor(private readonly sockets: SessionSockets) {}

  handleConnection(client: Socket) {
    const { userId, data } = this.sockets.info(client)!; // nobody else gets here: `require: 'user'`
    client.join(`user ${userId}`);
    client.emit('note', data.note ?? '');
  }

  handleDisconnect(client: Socket) {
    console.log(this.sockets.info(client)?.userId, 'has left'); // also after the session has ended
  }

  @SubscribeMessage('note')
  note(
    @Session() session: Session<{ note: string }>,
    @MessageBody() text: string,
    @ConnectedSocket() client: Socket,
  ) {
    session.set('note', text);
    client.to(`user ${session.userId}`).emit('note', text);
    return 'saved'; // goes out once it is
  }
}
