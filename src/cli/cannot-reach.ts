/** What somebody is told whose gateway is not there, most often because none was started. */
export function cannotReach(url: string, error: unknown): string {
  return `Cannot reach ${url}: ${reasonOf(error)}. Is the gateway running? "npm start" runs one here.`;
}

/** Socket.IO's own message says which transport failed; what the system said about it is a level deeper. */
function reasonOf(error: unknown): string {
  const { message, description } = error as { message: string; description?: { message?: string } };
  const detail = description?.message;
  return detail === undefined || detail === '' ? message : `${message} (${detail})`;
}
