/** A promise with what settles it. Its rejection has to be handled by nobody: an `error` event tells the same. */
export function promiseParts<T>() {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  // Not `Promise.withResolvers`, which phones of 2023 do not have.
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}
