/** No slot. */
export const NONE = -1;

/**
 * Slots a page. Memory comes and goes by the page: growing to a million sessions copies nothing and so
 * never pauses, as one big array or map would when it doubles.
 */
export const PAGE_SIZE = 1_024;
export const PAGE_BITS = 10;
export const IN_PAGE = PAGE_SIZE - 1;

/** One property of every slot, kept page by page. */
export interface Column {
  openPage(page: number): void;
  closePage(page: number): void;
}

/** A few 32-bit integers for every slot. */
export class Int32Column implements Column {
  private readonly pages: (Int32Array | undefined)[] = [];

  constructor(private readonly width: number) {}

  openPage(page: number): void {
    this.pages[page] ??= new Int32Array(PAGE_SIZE * this.width);
  }

  closePage(page: number): void {
    this.pages[page] = undefined;
  }

  get(slot: number, field: number): number {
    return this.pages[slot >>> PAGE_BITS]![(slot & IN_PAGE) * this.width + field];
  }

  set(slot: number, field: number, value: number): void {
    this.pages[slot >>> PAGE_BITS]![(slot & IN_PAGE) * this.width + field] = value;
  }
}

/**
 * A few numbers of any size for every slot. The twin of {@link Int32Column}, and no common class, so that V8 meets one kind
 * of array in each: this is on the way of every request.
 */
export class Float64Column implements Column {
  private readonly pages: (Float64Array | undefined)[] = [];

  constructor(private readonly width: number) {}

  openPage(page: number): void {
    this.pages[page] ??= new Float64Array(PAGE_SIZE * this.width);
  }

  closePage(page: number): void {
    this.pages[page] = undefined;
  }

  get(slot: number, field: number): number {
    return this.pages[slot >>> PAGE_BITS]![(slot & IN_PAGE) * this.width + field];
  }

  set(slot: number, field: number, value: number): void {
    this.pages[slot >>> PAGE_BITS]![(slot & IN_PAGE) * this.width + field] = value;
  }
}

/** Hands out slot numbers, the freed ones first, and gives pages back that nobody uses any more. */
export class Slots {
  private readonly pages: (Page | undefined)[] = [];
  /** Pages with a free slot; the last one is used first. */
  private readonly open: number[] = [];
  private readonly closed: number[] = [];

  /**
   * @param columns opened and closed with every page
   * @param lazyColumns closed with every page, and opened by their owners where they need it
   */
  constructor(
    private readonly columns: readonly Column[],
    private readonly lazyColumns: readonly Column[] = [],
  ) {}

  take(): number {
    const number = this.open.at(-1) ?? this.openPage();
    const page = this.pages[number]!;
    const slot = page.free[--page.freeCount];
    if (page.freeCount === 0) this.open.pop();
    return (number << PAGE_BITS) | slot;
  }

  give(slot: number): void {
    const number = slot >>> PAGE_BITS;
    const page = this.pages[number]!;
    if (page.freeCount === 0) this.open.push(number);
    page.free[page.freeCount++] = slot & IN_PAGE;
    // One page with room stays, or a single session that comes and goes would open and close it forever.
    if (page.freeCount === PAGE_SIZE && this.open.length > 1) this.closePage(number);
  }

  /** No slot has this number, or a greater one. */
  get end(): number {
    return this.pages.length << PAGE_BITS;
  }

  private openPage(): number {
    const number = this.closed.pop() ?? this.pages.length;
    const free = new Uint16Array(PAGE_SIZE);
    for (let i = 0; i < PAGE_SIZE; i++) free[i] = IN_PAGE - i;
    this.pages[number] = { free, freeCount: PAGE_SIZE };
    for (const column of this.columns) column.openPage(number);
    this.open.push(number);
    return number;
  }

  private closePage(number: number): void {
    this.open.splice(this.open.indexOf(number), 1);
    this.pages[number] = undefined;
    for (const column of this.columns) column.closePage(number);
    for (const column of this.lazyColumns) column.closePage(number);
    this.closed.push(number);
  }
}

interface Page {
  /** A stack of the page's free slots. */
  readonly free: Uint16Array;
  freeCount: number;
}
