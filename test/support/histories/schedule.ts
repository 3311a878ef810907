/** What happens, turn by turn: time without clocks. Of what is due in one turn, the first that was planned comes first. */
export class Schedule {
  turn = 0;
  private readonly due: { turn: number; work: () => unknown }[] = [];

  /** Plans work so many turns from now. A promise that it gives is waited for before anything else happens. */
  in(turns: number, work: () => unknown): void {
    const turn = this.turn + turns;
    let place = this.due.length;
    while (place > 0 && this.due[place - 1]!.turn > turn) place--;
    this.due.splice(place, 0, { turn, work });
  }

  wait(turns: number): Promise<void> {
    return new Promise((resolve) => this.in(turns, resolve));
  }

  /** Runs until nothing is planned any more. */
  async run(): Promise<void> {
    for (let next = this.due.shift(); next; next = this.due.shift()) {
      this.turn = next.turn;
      await next.work();
      // Whatever follows from it without further input has happened when the event loop has turned.
      await new Promise((resolve) => void setImmediate(resolve));
    }
  }
}
