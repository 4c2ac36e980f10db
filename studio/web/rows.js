// Rows of records, fetched a page at a time and kept while they are near.

const PAGE = 100;
const MOST_PAGES = 120;

/** The records of a run that match `{only, kinds}`, by their place among the matches. */
export class RowCache {
  constructor(source, filter, arrived) {
    this.source = source;
    this.filter = filter;
    this.arrived = arrived;
    this.pages = new Map();
    this.total = 0;
  }

  /** The row at a place; undefined until it has arrived. */
  at(place) {
    const number = Math.floor(place / PAGE);
    const page = this.pages.get(number);
    if (!page) {
      this.load(number);
      return undefined;
    }
    const row = page.rows?.[place % PAGE];
    if (!row && page.rows && page.rows.length < PAGE && place < this.total && !page.loading && !page.failure) this.load(number);
    return row;
  }

  /** The place of a record among the rows that are here; -1 where it is not among them. */
  placeOf(seq) {
    for (const [number, page] of this.pages) {
      const index = page.rows?.findIndex((row) => row.seq === seq) ?? -1;
      if (index >= 0) return number * PAGE + index;
    }
    return -1;
  }

  /** The place of a record, found by halving; -1 where it is not among the matches. */
  async find(seq) {
    const near = this.placeOf(seq);
    if (near >= 0) return near;
    let [low, high] = [0, this.total - 1];
    while (low <= high) {
      const middle = (low + high) >> 1;
      const { records: [row] } = await this.source.records({ ...this.filter, offset: middle, limit: 1 });
      if (!row || row.seq === seq) return row ? middle : -1;
      if (row.seq < seq) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  /** Learns the number of records. */
  async count() {
    const { total } = await this.source.records({ ...this.filter, offset: 0, limit: 1 });
    this.total = total;
    return total;
  }

  async load(number) {
    const before = this.pages.get(number);
    const page = { rows: before?.rows ?? null, loading: true };
    this.pages.delete(number);
    this.pages.set(number, page);
    try {
      const { records, total } = await this.source.records({ ...this.filter, offset: number * PAGE, limit: PAGE });
      page.rows = records;
      this.total = Math.max(this.total, total);
    } catch (error) {
      page.rows ??= [];
      page.failure = error.message;
      // It is asked for again a little later.
      setTimeout(() => { page.failure = null; }, 3000);
    }
    page.loading = false;
    if (this.pages.size > MOST_PAGES) this.pages.delete(this.pages.keys().next().value);
    this.arrived();
  }
}
