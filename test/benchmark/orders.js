/** The receiving end of `processes.js`: answers the orders that come over IPC, one answer each. */
export function serve(orders, ready = true) {
  process.on('message', async ({ id, order, argument }) => {
    try {
      process.send({ id, answer: await orders[order](argument) });
    } catch (error) {
      process.send({ id, error: String(error?.stack ?? error) });
    }
  });
  process.on('disconnect', () => process.exit());
  process.send({ ready });
}

/** Microseconds of CPU that this process has used: user and system, all threads, as the system counts them. */
export function cpu() {
  const { user, system } = process.cpuUsage();
  return user + system;
}
