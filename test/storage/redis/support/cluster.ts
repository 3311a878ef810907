import { ask, Server, until } from './server.js';

const SLOTS = 16_384;

/** Masters with their share of the slots each and, if wanted, a replica each; on loopback ports. */
export class RedisCluster {
  private constructor(
    readonly masters: readonly Server[],
    readonly replicas: readonly Server[],
  ) {}

  static async start({ masters = 3, replicas = false } = {}): Promise<RedisCluster> {
    const options = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000'];
    const started = await Promise.all(
      Array.from({ length: masters * (replicas ? 2 : 1) }, () => Server.start(options)),
    );
    const cluster = new RedisCluster(started.slice(0, masters), started.slice(masters));
    await cluster.join();
    return cluster;
  }

  get nodes(): readonly Server[] {
    return [...this.masters, ...this.replicas];
  }

  /** As a client takes them. */
  get startup(): { host: string; port: number }[] {
    return this.nodes.map(({ port }) => ({ host: '127.0.0.1', port }));
  }

  async remove(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.remove()));
  }

  private async join(): Promise<void> {
    const { masters, replicas, nodes } = this;
    const ids = new Map<Server, string>();
    for (const [i, node] of nodes.entries()) {
      await ask(node.port, async (redis) => {
        // With one and the same epoch, two that see each other first would have to settle which is newer.
        await redis.call('CLUSTER', 'SET-CONFIG-EPOCH', String(i + 1));
        ids.set(node, String(await redis.call('CLUSTER', 'MYID')));
        if (i >= masters.length) return;
        const [from, to] = [i, i + 1].map((share) => Math.floor((share * SLOTS) / masters.length));
        await redis.call('CLUSTER', 'ADDSLOTSRANGE', String(from), String(to - 1));
      });
    }
    const [first, ...others] = nodes;
    await ask(first.port, async (redis) => {
      for (const { port } of others) await redis.call('CLUSTER', 'MEET', '127.0.0.1', String(port));
    });
    await Promise.all(
      nodes.map((node) => until(() => knows(node, nodes.length), 'all nodes know each other')),
    );
    for (const [i, replica] of replicas.entries()) {
      await ask(replica.port, (redis) => redis.call('CLUSTER', 'REPLICATE', ids.get(masters[i])!));
    }
    const ready = (node: Server) => isReady(node, masters.length, replicas.length);
    await Promise.all(nodes.map((node) => until(() => ready(node), 'the cluster is ready', 20_000)));
  }
}

async function knows(node: Server, count: number): Promise<boolean> {
  return ask(node.port, async (redis) => {
    return (
      String(await redis.call('CLUSTER', 'NODES'))
        .trim()
        .split('\n').length === count
    );
  });
}

async function isReady(node: Server, masters: number, replicas: number): Promise<boolean> {
  return ask(node.port, async (redis) => {
    const info = String(await redis.call('CLUSTER', 'INFO'));
    const nodes = String(await redis.call('CLUSTER', 'NODES')).split('\n');
    const slaves = nodes.filter((line) => line.includes('slave')).length;
    const linked = !(await redis.info('replication')).includes('master_link_status:down');
    return (
      info.includes('cluster_state:ok') &&
      info.includes(`cluster_size:${masters}`) &&
      slaves === replicas &&
      linked
    );
  });
}
