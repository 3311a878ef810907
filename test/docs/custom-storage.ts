import { type SessionChange, type SessionRecord, SessionStorage } from 'nest-sessions';

/** Sessions in a Map: a whole storage, short enough to copy and fill with your database. */
export class MapStorage extends SessionStorage {
  private readonly records = new Map<string, SessionRecord>();
  constructor(private readonly now = Date.now) {
    super();
  }
  create(record: SessionRecord) {
    return !this.read(record.handle) && this.records.set(record.handle, record).has(record.handle);
  }
  read(handle: string) {
    const record = this.records.get(handle);
    return record && this.now() < record.expiresAt ? record : undefined;
  }
  update(handle: string, { set, remove = [], expectedVersion, lease, ...rest }: SessionChange) {
    const record = this.read(handle);
    if (!record) return 'gone';
    if (expectedVersion !== undefined && expectedVersion !== record.version) return 'conflict';
    if (lease !== undefined && !this.holds(handle, lease)) return 'conflict';
    const data = { ...record.data, ...set };
    for (const key of remove) delete data[key];
    const fields = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
    this.records.set(handle, { ...record, ...fields, data, version: record.version + 1 });
    return 'ok';
  }
  destroy(handle: string) {
    return this.read(handle) !== undefined && this.records.delete(handle);
  }
  purgeExpired(limit: number) {
    const expired = [...this.records.keys()].filter((handle) => !this.read(handle)).slice(0, limit);
    return expired.filter((handle) => this.records.delete(handle)).length;
  }
  count() {
    return this.records.size;
  }
  byUser(userId: string) {
    return [...this.records.values()].filter((one) => one.userId === userId && this.read(one.handle));
  }
}
