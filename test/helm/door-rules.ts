import type { IHTTPRoute } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1';
import type { IIngress, INetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1';
import { type Parts, selects } from './chart-parts.ts';
import type { Manifest } from './helm.ts';

/** What a route leads to. */
interface Backend {
  readonly service: string | undefined;
  /** A name or a number. */
  readonly port: string | number | undefined;
}

/** A line for each rule that what lets clients in breaks: they get to the port for clients, and to no other. */
export function doorFaults(manifests: readonly Manifest[], parts: Parts): string[] {
  return manifests.flatMap((manifest) => {
    const name = `${manifest.kind} ${manifest.metadata.name}`;
    switch (manifest.kind) {
      case 'Ingress':
        return ingressBackends(manifest as IIngress).flatMap((backend) => backendFaults(name, backend, parts));
      case 'HTTPRoute':
        return routeBackends(manifest as IHTTPRoute).flatMap((backend) => backendFaults(name, backend, parts));
      case 'BackendTrafficPolicy':
      case 'DestinationRule':
        return stickinessFaults(name, manifest, manifests);
      case 'NetworkPolicy':
        return policyFaults(name, manifest as INetworkPolicy, parts);
      default:
        return [];
    }
  });
}

function ingressBackends({ spec }: IIngress): Backend[] {
  const paths = (spec?.rules ?? []).flatMap(({ http }) => http?.paths ?? []);
  return paths.map(({ backend: { service } }) => ({
    service: service?.name,
    port: service?.port?.name ?? service?.port?.number,
  }));
}

function routeBackends({ spec }: IHTTPRoute): Backend[] {
  const references = (spec.rules ?? []).flatMap(({ backendRefs = [] }) => backendRefs);
  return references.map(({ name, port }) => ({ service: name, port }));
}

function backendFaults(route: string, { port, service }: Backend, { services }: Parts): string[] {
  const found = services.find(({ metadata }) => metadata?.name === service);
  if (found === undefined) return [`${route} leads to no Service`];
  const chosen = (found.spec?.ports ?? []).find((one) => one.name === port || one.port === port);
  if (chosen === undefined) return [`${route} leads to no port of its Service`];
  return chosen.targetPort === 'http' ? [] : [`${route} leads to the port ${chosen.targetPort}`];
}

/** It does nothing, and nobody is told, where what it is for does not exist. */
function stickinessFaults(name: string, manifest: Manifest, manifests: readonly Manifest[]): string[] {
  const { spec } = manifest as Manifest & { spec: { host?: string; targetRefs?: { kind: string; name: string }[] } };
  const targets = spec.targetRefs ?? [{ kind: 'Service', name: spec.host ?? '' }];
  const isKnown = targets.every((target) =>
    manifests.some(({ kind, metadata }) => kind === target.kind && metadata.name === target.name),
  );
  return [
    ...(isKnown ? [] : [`${name} is for nothing`]),
    ...(JSON.stringify(spec).includes('cid') ? [] : [`${name} does not keep clients by cid`]),
  ];
}

function policyFaults(name: string, { spec }: INetworkPolicy, { serving }: Parts): string[] {
  const isChosen = serving.some((pod) => selects(spec?.podSelector?.matchLabels, pod.metadata?.labels));
  const ports = serving.flatMap((pod) => pod.spec?.containers ?? []).flatMap((container) => container.ports ?? []);
  const rules = (spec?.ingress ?? []).map(({ from = [], ports: opened = [] }) => ({
    isForAll: from.length === 0,
    ports: opened.map(({ port }) => port),
  }));
  const opened = rules.flatMap((rule) => rule.ports);
  return [
    ...(isChosen ? [] : [`${name} selects no pod`]),
    ...(opened.includes('http') ? [] : [`${name} lets no client in`]),
    ...opened
      .filter((port) => !ports.some((one) => one.name === port))
      .map((port) => `${name} opens the port ${port}, which no container has`),
    ...(rules.some((rule) => rule.ports.length === 0) ? [`${name} opens every port`] : []),
    ...(rules.some((rule) => rule.isForAll && rule.ports.includes('admin'))
      ? [`${name} opens the admin port to all`]
      : []),
  ];
}
