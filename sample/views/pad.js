// The windows of one browser write on one pad.
const pad = document.querySelector('#pad');
const connection = document.querySelector('#connection');
const socket = io({ transports: ['websocket'] });

function end() {
  pad.disabled = true;
  connection.textContent = 'You have been logged out.';
}

socket.on('connect', async () => {
  pad.value = await socket.emitWithAck('read');
  connection.textContent = 'Connected.';
});
socket.on('disconnect', () => {
  if (!pad.disabled) connection.textContent = 'Connecting …';
});
socket.on('session:ended', end);
socket.on('connect_error', () => {
  if (!socket.active) end();
});
socket.on('pad', (text) => {
  pad.value = text;
  connection.textContent = 'Written in another window.';
});

// One message at a time: the last one wins, in whatever window it was written.
let sending = false;
let changed = false;
pad.addEventListener('input', async () => {
  changed = true;
  if (sending) return;
  sending = true;
  while (changed) {
    changed = false;
    connection.textContent =
      (await socket.emitWithAck('write', pad.value)) === 'saved' ? 'Saved.' : 'Not saved.';
  }
  sending = false;
});
