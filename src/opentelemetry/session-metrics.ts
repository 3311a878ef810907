import type { OnApplicationShutdown, OnModuleInit } from '@nestjs/common';
import { metrics, type ObservableCallback } from '@opentelemetry/api';
import { type Observable, Subscription } from 'rxjs';
import type { Exchanges } from '../http/exchanges.js';
import { checkedOptions, flag, type OptionRules } from '../rules.js';
import type { SessionEvent, StorageCall } from '../session/events.js';

/** What `SessionMetricsModule.forRoot()` takes. */
export interface SessionMetricsOptions {
  /** Whether the records are counted at every scrape, which a big storage may take long for. Default false. */
  records?: boolean | undefined;
}

const RULES: OptionRules<SessionMetricsOptions> = { records: flag };

/** In seconds: from a storage in memory to one that a request gives up on. */
const BOUNDARIES = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10,
];

/** What a scrape waits for the number of records, in milliseconds. */
const PATIENCE = 1_000;

/** What happens to sessions, as metrics. No label says whose session it was (S50). */
export class SessionMetrics implements OnModuleInit, OnApplicationShutdown {
  private readonly subscriptions = new Subscription();
  private readonly records: boolean;

  /** @throws {SessionOptionsError} if the options are wrong, or the storage cannot count */
  constructor(
    private readonly exchanges: Exchanges,
    options: SessionMetricsOptions,
  ) {
    this.records = checkedOptions('SessionMetricsModule', options, RULES).records ?? false;
    if (this.records) this.storage.need('count');
  }

  /** Not sooner: a provider of meters that is set up as the application is put together counts as well. */
  onModuleInit(): void {
    const { events } = this.exchanges.sessions;
    const meter = metrics.getMeter('nest-sessions');
    const happened = meter.createCounter('nest_sessions.events', {
      description: 'What happened to sessions, by type',
    });
    const took = meter.createHistogram('nest_sessions.storage.duration', {
      description: 'How long calls of the session storage took, by operation and result',
      unit: 's',
      advice: { explicitBucketBoundaries: BOUNDARIES },
    });
    this.follow(events.subject, ({ type }) => happened.add(1, { type }));
    this.follow(events.calls, ({ operation, result, seconds }) =>
      took.record(seconds, { operation, result }),
    );
    if (!this.records) return;
    const there = meter.createObservableGauge('nest_sessions.records', {
      description: 'Session records in the storage, expired ones that were not purged yet included',
    });
    const count: ObservableCallback = async (result) => {
      const records = await this.count();
      if (records !== undefined) result.observe(records);
    };
    there.addCallback(count);
    this.subscriptions.add(() => there.removeCallback(count));
  }

  onApplicationShutdown(): void {
    this.subscriptions.unsubscribe();
  }

  /** Undefined if the storage fails, or takes too long: then there is no value, and the rest of the page comes. */
  private async count(): Promise<number | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), PATIENCE);
    });
    try {
      return await Promise.race([late, this.storage.count()]);
    } catch {
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  private follow<T extends SessionEvent | StorageCall>(all: Observable<T>, note: (one: T) => void): void {
    this.subscriptions.add(all.subscribe(note));
  }

  private get storage() {
    return this.exchanges.sessions.storage;
  }
}
