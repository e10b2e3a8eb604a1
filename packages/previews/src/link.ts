import { createHmac, timingSafeEqual } from "node:crypto";
import { fromBase32, toBase32 } from "./base32.ts";

/** Which port of which sandbox. */
export interface PreviewedPort {
  sandboxId: string;
  port: number;
}

/** Where previews are: `https://{label}.preview.example.com`, with a port if need be, without a path. */
export const previewUrlPattern = /^(https?):\/\/\{label\}\.([a-z0-9-]+(?:\.[a-z0-9-]+)*)(?::(\d{1,5}))?$/;

export interface PreviewSite {
  scheme: "http" | "https";
  /** What the host of every preview ends with, without the first dot. */
  domain: string;
  port: string | null;
}

/** @throws Error if it is none; environments check with `previewUrlPattern` before */
const siteOf = (url: string): PreviewSite => {
  const [, scheme, domain, port] = previewUrlPattern.exec(url) ?? [];
  if (scheme === undefined || domain === undefined) throw new Error("an address of previews is https://{label}.domain");
  return { scheme: scheme === "http" ? "http" : "https", domain, port: port ?? null };
};

/** A link is good for `linkSeconds` to `linkSeconds + roundSeconds`: who asks twice within a quarter of an hour gets the same origin twice. */
const linkSeconds = 3_600;
const roundSeconds = 900;
export const longestLinkMs = (linkSeconds + roundSeconds) * 1_000;

const macBytes = 16;
const payloadBytes = 16 + 2 + 4;

export type ReadLink =
  | ({ kind: "link"; expiresAt: Date } & PreviewedPort)
  /** It was one of ours. */
  | { kind: "expired" }
  /** Not an address that we have ever given to anybody. */
  | { kind: "none" };

export interface PreviewLinks {
  site: PreviewSite;
  /** The address under which whoever has it sees this port, until then. */
  sign(input: PreviewedPort, now?: Date): { url: string; expiresAt: Date };
  /** @param host of a request, with or without a port */
  read(host: string, now?: Date): ReadLink;
}

/**
 * Links to ports: everything is in the first label of their host (sandbox, port, end, and 128 bits of HMAC-SHA256 over them, in base32), so they are stored nowhere, and each preview
 * is an origin of its own. 61 letters, and a label may have 63.
 * @param input.secret 32 characters or more, the same for whoever signs and whoever reads
 */
export const createPreviewLinks = (input: { secret: string; url: string }): PreviewLinks => {
  const site = siteOf(input.url);
  const macOf = (payload: Uint8Array): Buffer =>
    createHmac("sha256", input.secret).update("preview link\0").update(payload).digest().subarray(0, macBytes);

  const labelOf = ({ sandboxId, port }: PreviewedPort, seconds: number): string => {
    const payload = Buffer.alloc(payloadBytes);
    payload.write(sandboxId.replaceAll("-", ""), "hex");
    payload.writeUInt16BE(port, 16);
    payload.writeUInt32BE(seconds, 18);
    return toBase32(Buffer.concat([payload, macOf(payload)]));
  };

  const readLabel = (label: string, now: Date): ReadLink => {
    const bytes = fromBase32(label);
    if (bytes?.length !== payloadBytes + macBytes) return { kind: "none" };
    const payload = Buffer.from(bytes.subarray(0, payloadBytes));
    if (!timingSafeEqual(macOf(payload), bytes.subarray(payloadBytes))) return { kind: "none" };
    const expiresAt = new Date(payload.readUInt32BE(18) * 1_000);
    if (expiresAt <= now) return { kind: "expired" };
    const sandboxId = payload.toString("hex", 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
    return { kind: "link", sandboxId, port: payload.readUInt16BE(16), expiresAt };
  };

  return {
    site,
    sign: (what, now = new Date()) => {
      const seconds = Math.ceil((now.getTime() / 1_000 + linkSeconds) / roundSeconds) * roundSeconds;
      const port = site.port === null ? "" : `:${site.port}`;
      const url = `${site.scheme}://${labelOf(what, seconds)}.${site.domain}${port}`;
      return { url, expiresAt: new Date(seconds * 1_000) };
    },
    read: (host, now = new Date()) => {
      // Names of hosts have no case, and a last dot means nothing.
      const name = host
        .toLowerCase()
        .replace(/:\d{1,5}$/, "")
        .replace(/\.$/, "");
      if (!name.endsWith(`.${site.domain}`)) return { kind: "none" };
      return readLabel(name.slice(0, -site.domain.length - 1), now);
    },
  };
};
