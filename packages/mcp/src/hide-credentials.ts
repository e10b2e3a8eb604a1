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
