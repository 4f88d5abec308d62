/** A Deployment and its Service: pods are replaced as its strategy says, and clients are sent to those that are ready. */
import { setTimeout as delay } from 'node:timers/promises';
import { Balancer, type Target } from '../../support/balancer.ts';
import type { Node, Pod } from './kubelet.ts';
import type { Secrets } from './pod-spec.ts';

const LOOK_MS = 100;

/** As far as it matters here. */
interface Deployment {
  readonly spec: {
    readonly replicas: number;
    readonly strategy: {
      readonly type: string;
      readonly rollingUpdate: { readonly maxSurge: number; readonly maxUnavailable: number };
    };
    readonly template: unknown;
  };
}

/** How one pod ended. */
interface Ending {
  readonly name: string;
  readonly exit: number;
  readonly seconds: number;
  readonly faults: readonly string[];
}

export class RolledDeployment {
  readonly balancer: Balancer;
  readonly #node: Node;
  readonly #secrets: Secrets;
  /** In the order of their start; those that have ended stay. */
  readonly pods: Pod[] = [];
  readonly #listed = new Map<Pod, Target>();
  #lookout: NodeJS.Timeout | undefined;
  /** The fewest ready pods at any look since the first roll-out was complete. */
  fewestReady = Number.POSITIVE_INFINITY;

  private constructor(node: Node, secrets: Secrets, balancer: Balancer) {
    this.#node = node;
    this.#secrets = secrets;
    this.balancer = balancer;
  }

  static async create(node: Node, secrets: Secrets): Promise<RolledDeployment> {
    const deployment = new RolledDeployment(node, secrets, await Balancer.start({ asksTargets: false }));
    deployment.#lookout = setInterval(() => deployment.#list(), LOOK_MS);
    return deployment;
  }

  /**
   * Brings the pods to what the Deployment says, by its strategy, and waits until the old ones have ended.
   * @param revision part of the names of its pods
   */
  async apply({ spec }: Deployment, revision: string): Promise<Ending[]> {
    const { replicas, strategy, template } = spec;
    if (strategy.type !== 'RollingUpdate') throw new Error(`the strategy is ${strategy.type}`);
    const { maxSurge, maxUnavailable } = strategy.rollingUpdate;
    const old = this.pods.filter((pod) => !pod.isTerminating);
    const endings: Promise<Ending>[] = [];
    const fresh: Pod[] = [];
    for (;;) {
      const faults = fresh.flatMap((pod) => pod.faults.map((fault) => `${pod.name}: ${fault}`));
      if (faults.length > 0) throw new Error(faults.join('; '));
      const standing = old.filter((pod) => !pod.isTerminating);
      if (fresh.length < replicas && fresh.length + standing.length < replicas + maxSurge) {
        const pod = await this.#node.create(`${revision}-${fresh.length + 1}`, template, this.#secrets);
        fresh.push(pod);
        this.pods.push(pod);
        continue;
      }
      const ready = [...standing, ...fresh].filter((pod) => pod.isReady).length;
      const [leaving] = standing;
      if (leaving !== undefined && ready - 1 >= replicas - maxUnavailable) {
        endings.push(this.#end(leaving));
        continue;
      }
      if (standing.length === 0 && fresh.length === replicas && fresh.every((pod) => pod.isReady)) break;
      await delay(LOOK_MS);
    }
    return Promise.all(endings);
  }

  close(): void {
    clearInterval(this.#lookout);
    this.balancer.close();
  }

  async #end(pod: Pod): Promise<Ending> {
    const { exit, seconds } = await pod.terminate(() => this.#unlist(pod));
    return { name: pod.name, exit, seconds, faults: pod.faults };
  }

  #list(): void {
    for (const pod of this.pods) {
      if (pod.isTerminating) continue;
      if (pod.isReady && !this.#listed.has(pod)) {
        const target = { url: pod.urlOf('http'), adminUrl: pod.urlOf('admin') };
        this.#listed.set(pod, target);
        this.balancer.add(target);
      } else if (!pod.isReady) this.#unlist(pod);
    }
    if (this.#listed.size > 0) this.fewestReady = Math.min(this.fewestReady, this.balancer.ready);
  }

  #unlist(pod: Pod): void {
    const target = this.#listed.get(pod);
    if (target === undefined) return;
    this.#listed.delete(pod);
    this.balancer.remove(target);
  }
}
