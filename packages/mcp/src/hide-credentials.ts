/** What is shorter is no credential, and would also be found where it means something else. Characters. */
const leastChars = 16;

/**
 * Takes what our headers say out of a server's answer. Many a server has a tool that repeats the request, and what a tool answers goes to the
 * model, into events and into traces.
 */
export const hideCredentials = (headers: Readonly<Record<string, string>>): ((text: string) => string) => {
  // Of "Bearer x" also x alone.
  const parts = Object.values(headers).flatMap((value) => [value, ...value.split(/\s+/)]);
  const secrets = [...new Set(parts)].filter((part) => part.length >= leastChars);
  const longestFirst = secrets.toSorted((left, right) => right.length - left.length);
  return (text) => longestFirst.reduce((clean, secret) => clean.replaceAll(secret, "[masked]"), text);
};

/** Longer chains of causes are cut. */
const maxCauses = 5;

/**
 * An error of the library as it may be logged: with its name and words, but a server's words are among them, and many a server, or a proxy in
 * front of it, repeats in its error page what it was sent.
 */
export const withoutCredentials = (error: unknown, hide: (text: string) => string, depth = 0): unknown => {
  if (!(error instanceof Error) || depth === maxCauses) return undefined;
  const told = new Error(hide(error.message), { cause: withoutCredentials(error.cause, hide, depth + 1) });
  told.name = error.name;
  if (error.stack !== undefined) told.stack = hide(error.stack);
  return told;
};
