import { Ajv, type ErrorObject } from 'ajv';
import { createGenerator } from 'ts-json-schema-generator';
import type { Manifest } from './helm.ts';
import { type Kinds, MODELS } from './kinds.ts';

const KINDS = new URL('kinds.ts', import.meta.url).pathname;
const TSCONFIG = new URL('tsconfig.json', import.meta.url).pathname;

/**
 * Checks manifests against the types of Kubernetes as the API server does with strict field validation. Building it
 * takes some seconds.
 */
export class ManifestSchema {
  readonly #ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });

  constructor() {
    const generator = createGenerator({
      path: KINDS,
      tsconfig: TSCONFIG,
      type: 'Kinds',
      additionalProperties: false,
      // Types of several packages have the same name, which as definitions they could not.
      expose: 'none',
      // The project's own compiler has done that.
      skipTypeCheck: true,
    });
    // Its types lack the "or undefined" that this compiler asks for.
    this.#ajv.addSchema(generator.createSchema('Kinds') as object, 'kinds');
  }

  /** What is wrong with a manifest; empty if nothing is. */
  faultsOf(manifest: Manifest): string[] {
    const kind = `${manifest.apiVersion}/${manifest.kind}`;
    if (!isKnown(kind)) return [`${kind} is not in kinds.ts`];
    const pointer = kind.replaceAll('/', '~1');
    const strict = this.#ajv.getSchema(`kinds#/definitions/Kinds/properties/${pointer}`);
    if (strict === undefined) throw new Error(`no schema of ${kind}`);
    const errors = strict(manifest) ? [] : (strict.errors ?? []);
    return [...errors, ...modelErrors(kind, manifest)].map(
      ({ instancePath, message, params }) => `${kind} ${instancePath} ${message} ${JSON.stringify(params)}`,
    );
  }
}

function isKnown(kind: string): kind is keyof Kinds {
  return Object.hasOwn(MODELS, kind);
}

function modelErrors(kind: keyof Kinds, manifest: Manifest): readonly ErrorObject[] {
  const Model = MODELS[kind];
  if (Model === undefined) return [];
  try {
    new Model(structuredClone(manifest) as never).validate();
    return [];
  } catch (error) {
    const { errors } = error as { errors?: readonly ErrorObject[] };
    if (errors === undefined) throw error;
    return errors;
  }
}
