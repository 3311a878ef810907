import {
  type BeforeApplicationShutdown,
  Inject,
  Injectable,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { SchedulerRegistry } from '@nestjs/schedule';
import { CronJob } from 'cron';
import { SessionOptionsError } from '../errors.js';
import type { ModuleSettings } from './session.options.js';
import { SessionStore } from './session.store.js';
import { SESSION_OPTIONS } from './tokens.js';

/** Name of the job in the application's `SchedulerRegistry`. */
export const PURGE_JOB = 'session.purge';

/**
 * Removes expired sessions on a schedule. Where the application imports `ScheduleModule`, the job is in its
 * registry. Importing that module from here would make every `@Cron` of the application fire twice.
 */
@Injectable()
export class SessionPurger implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly stop = new AbortController();
  private registry: SchedulerRegistry | undefined;
  private job: CronJob | undefined;
  private running: Promise<void> | undefined;

  constructor(
    @Inject(SESSION_OPTIONS) private readonly options: ModuleSettings,
    private readonly store: SessionStore<any>,
    private readonly modules: ModuleRef,
  ) {}

  onApplicationBootstrap(): void {
    const { cron } = this.options.purge;
    if (cron === false) return;
    this.registry = this.findRegistry();
    if (this.registry.doesExist('cron', PURGE_JOB)) {
      throw new SessionOptionsError(
        `SessionModule: a cron job named "${PURGE_JOB}" exists already; import SessionModule.forRoot() once, in the root module.`,
      );
    }
    this.job = CronJob.from({
      name: PURGE_JOB,
      cronTime: cron,
      onTick: () => this.run(),
      unrefTimeout: true,
    });
    this.registry.addCronJob(PURGE_JOB, this.job);
    this.job.start();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stop.abort();
    await this.job?.stop();
    if (this.registry?.doesExist('cron', PURGE_JOB)) this.registry.deleteCronJob(PURGE_JOB);
    await this.running;
  }

  /** Purges now, unless a purge is under way: that one counts. */
  private run(): Promise<void> {
    this.running ??= this.store
      .purgeExpired(this.stop.signal)
      // The failure is in the log already, and the next run tries again.
      .then(undefined, () => undefined)
      .then(() => undefined)
      .finally(() => (this.running = undefined));
    return this.running;
  }

  private findRegistry(): SchedulerRegistry {
    try {
      return this.modules.get(SchedulerRegistry, { strict: false });
    } catch {
      return new SchedulerRegistry();
    }
  }
}
