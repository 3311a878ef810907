import type { Socket } from 'socket.io-client';
import { WebSocket } from 'ws';

export function follow(socket: Socket, showLogin: () => void): void {
  socket.on('session:ended', showLogin);
  socket.on('connect_error', (error: Error & { context?: { status?: number } }) => {
    if (error.context?.status !== 401) return; // no network, say: socket.io tries again
    socket.disconnect();
    showLogin();
  });
}

export async function login(socket: Socket, url: string, form: FormData): Promise<void> {
  const answer = await fetch(url, { method: 'POST', body: form });
  if (answer.ok) socket.disconnect().connect(); // with the cookie of after the login
}

export function open(url: string, showLogin: () => void): WebSocket {
  const socket = new WebSocket(url);
  socket.onclose = ({ code }) => {
    if (code === 4401) showLogin();
    else setTimeout(() => open(url, showLogin), 1_000);
  };
  return socket;
}
