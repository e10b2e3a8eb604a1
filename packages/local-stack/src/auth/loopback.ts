import { StackError } from "../stack-error.ts";

/** Is this address or host name (no port, no brackets) this very machine? Names below `localhost` are, by RFC 6761. */
function isLoopbackHost(host: string): boolean {
  const name = host.toLowerCase();
  if (name === "localhost" || name.endsWith(".localhost") || name === "::1") return true;
  return /^127(\.\d{1,3}){3}$/.test(name);
}

/**
 * Does the Host header of a request name this machine? A browser that was lured to a foreign name which resolves to
 * 127.0.0.1 (DNS rebinding) sends that foreign name here, and would otherwise read the mail of the outbox.
 */
export function isLoopbackHostHeader(header: string | undefined): boolean {
  const match = /^(?:\[(?<v6>[0-9a-fA-F:]+)\]|(?<name>[^:[\]@/\\]+))(?::\d{1,5})?$/.exec(header ?? "");
  const host = match?.groups?.["v6"] ?? match?.groups?.["name"];
  return host !== undefined && isLoopbackHost(host);
}

/**
 * @throws StackError `bad_setting` when the server would be reachable from outside, or would run in production: it stands in
 * for hosted Supabase Auth on one machine, prints mails to its log and has never been hardened for anybody else's users
 */
export function refuseUnsafeSurroundings(host: string): void {
  // oxlint-disable-next-line node/no-process-env -- a guard that a caller could forget to feed would be none
  if (process.env["NODE_ENV"] === "production") {
    throw new StackError(
      "bad_setting",
      "The local auth server does not run with NODE_ENV=production: use a Supabase project (SUPABASE_URL) there.",
    );
  }
  if (!isLoopbackHost(host)) {
    throw new StackError(
      "bad_setting",
      `The local auth server listens on this machine only, not on "${host}": use 127.0.0.1.`,
    );
  }
}
