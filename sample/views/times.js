// Times in the visitor's own zone, and those that are near as "2 minutes ago". Without this they are in UTC.
const exact = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'short' });
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

/** The largest unit of which at least one has passed, and how many. */
function ago(milliseconds) {
  const units = { day: 86_400, hour: 3_600, minute: 60 };
  for (const [unit, seconds] of Object.entries(units)) {
    const count = Math.trunc(milliseconds / 1_000 / seconds);
    if (count !== 0) return relative.format(count, unit);
  }
  return 'just now';
}

function show() {
  for (const time of document.querySelectorAll('time')) {
    const at = new Date(time.dateTime);
    time.title = exact.format(at);
    time.textContent = time.hasAttribute('data-ago') ? ago(at - Date.now()) : exact.format(at);
  }
}

show();
setInterval(show, 30_000);
