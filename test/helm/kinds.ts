import { Deployment, type IDeployment } from 'kubernetes-models/apps/v1';
import { type IPodDisruptionBudget, PodDisruptionBudget } from 'kubernetes-models/policy/v1';
import {
  type ISecret,
  type IService,
  type IServiceAccount,
  Secret,
  Service,
  ServiceAccount,
} from 'kubernetes-models/v1';

/** The kinds that the chart renders, by `apiVersion/kind`. From this type comes the schema that refuses unknown fields. */
export interface Kinds {
  'apps/v1/Deployment': IDeployment;
  'policy/v1/PodDisruptionBudget': IPodDisruptionBudget;
  'v1/Secret': ISecret;
  'v1/Service': IService;
  'v1/ServiceAccount': IServiceAccount;
}

interface Model {
  /** Throws an error that has `errors` when a value is wrong. */
  validate(): void;
}

/** Their validators in kubernetes-models: they know patterns and enumerations, but let unknown fields pass. */
export const MODELS: Readonly<Record<keyof Kinds, new (content: never) => Model>> = {
  'apps/v1/Deployment': Deployment,
  'policy/v1/PodDisruptionBudget': PodDisruptionBudget,
  'v1/Secret': Secret,
  'v1/Service': Service,
  'v1/ServiceAccount': ServiceAccount,
};
