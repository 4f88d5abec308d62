import { HTTPRoute, type IHTTPRoute } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1';
import { type IScaledObject, ScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1';
import {
  type IPrometheusRule,
  type IServiceMonitor,
  PrometheusRule,
  ServiceMonitor,
} from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1';
import { Deployment, type IDeployment } from 'kubernetes-models/apps/v1';
import { HorizontalPodAutoscaler, type IHorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2';
import { CronJob, type ICronJob } from 'kubernetes-models/batch/v1';
import { type IIngress, type INetworkPolicy, Ingress, NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1';
import { type IPodDisruptionBudget, PodDisruptionBudget } from 'kubernetes-models/policy/v1';
import {
  ConfigMap,
  type IConfigMap,
  type IPod,
  type ISecret,
  type IService,
  type IServiceAccount,
  Pod,
  Secret,
  Service,
  ServiceAccount,
} from 'kubernetes-models/v1';

/** The kinds that the chart renders, by `apiVersion/kind`. From this type comes the schema that refuses unknown fields. */
export interface Kinds {
  'apps/v1/Deployment': IDeployment;
  'autoscaling/v2/HorizontalPodAutoscaler': IHorizontalPodAutoscaler;
  'batch/v1/CronJob': ICronJob;
  'gateway.envoyproxy.io/v1alpha1/BackendTrafficPolicy': IBackendTrafficPolicy;
  'gateway.networking.k8s.io/v1/HTTPRoute': IHTTPRoute;
  'keda.sh/v1alpha1/ScaledObject': IScaledObject;
  'monitoring.coreos.com/v1/PrometheusRule': IPrometheusRule;
  'monitoring.coreos.com/v1/ServiceMonitor': IServiceMonitor;
  'networking.istio.io/v1/DestinationRule': IDestinationRule;
  'networking.k8s.io/v1/Ingress': IIngress;
  'networking.k8s.io/v1/NetworkPolicy': INetworkPolicy;
  'policy/v1/PodDisruptionBudget': IPodDisruptionBudget;
  'v1/ConfigMap': IConfigMap;
  'v1/Pod': IPod;
  'v1/Secret': ISecret;
  'v1/Service': IService;
  'v1/ServiceAccount': IServiceAccount;
}

interface Model {
  /** Throws an error that has `errors` when a value is wrong. */
  validate(): void;
}

/**
 * Their validators in the packages: they know patterns and enumerations, but let unknown fields pass. Kinds of a vendor that no
 * package has, or none with a type that any manifest could fit, are written down below, and have the schema alone.
 */
export const MODELS: Readonly<Record<keyof Kinds, (new (content: never) => Model) | undefined>> = {
  'apps/v1/Deployment': Deployment,
  'autoscaling/v2/HorizontalPodAutoscaler': HorizontalPodAutoscaler,
  'batch/v1/CronJob': CronJob,
  'gateway.envoyproxy.io/v1alpha1/BackendTrafficPolicy': undefined,
  'gateway.networking.k8s.io/v1/HTTPRoute': HTTPRoute,
  'keda.sh/v1alpha1/ScaledObject': ScaledObject,
  'monitoring.coreos.com/v1/PrometheusRule': PrometheusRule,
  'monitoring.coreos.com/v1/ServiceMonitor': ServiceMonitor,
  'networking.istio.io/v1/DestinationRule': undefined,
  'networking.k8s.io/v1/Ingress': Ingress,
  'networking.k8s.io/v1/NetworkPolicy': NetworkPolicy,
  'policy/v1/PodDisruptionBudget': PodDisruptionBudget,
  'v1/ConfigMap': ConfigMap,
  'v1/Pod': Pod,
  'v1/Secret': Secret,
  'v1/Service': Service,
  'v1/ServiceAccount': ServiceAccount,
};

/** The fields that this chart uses, from the API reference of Envoy Gateway 1.7. */
interface IBackendTrafficPolicy {
  apiVersion: 'gateway.envoyproxy.io/v1alpha1';
  kind: 'BackendTrafficPolicy';
  metadata: { name: string; labels?: Record<string, string> };
  spec: {
    targetRefs: { group: 'gateway.networking.k8s.io'; kind: 'HTTPRoute'; name: string }[];
    loadBalancer: {
      type: 'ConsistentHash';
      consistentHash: { type: 'QueryParams'; queryParams: { name: string }[] };
    };
  };
}

/** The same of Istio 1.24. */
interface IDestinationRule {
  apiVersion: 'networking.istio.io/v1';
  kind: 'DestinationRule';
  metadata: { name: string; labels?: Record<string, string> };
  spec: {
    host: string;
    trafficPolicy: { loadBalancer: { consistentHash: { httpQueryParameterName: string } } };
  };
}
