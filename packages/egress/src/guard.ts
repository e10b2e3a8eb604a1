import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { EgressError } from "./egress-error.ts";
import { isPublicAddress } from "./public-address.ts";

/** Where a request goes: a name or an address without brackets, and a port. */
export interface Destination {
  host: string;
  port: number;
  /** On the operator's list: it may be anywhere. */
  listed: boolean;
}

/** All addresses of a name. Rejects as `node:dns` does. */
export type Resolve = (hostname: string) => Promise<readonly string[]>;

/** The two questions whose answers decide where this process connects to. */
export interface Guard {
  /** By its form alone. @throws EgressError */
  admit(url: URL): Destination;
  /** What may be connected to, at least one. Whoever asks connects to these and looks nothing up again. @throws EgressError */
  addressesOf(destination: Destination): Promise<readonly string[]>;
}

export interface GuardOptions {
  /** `host:port` that may be reached although it is not public or the port is not open: an operator's own servers. Default: none. */
  allow?: readonly string[];
  /** Open ports. Default 80, 443, 8080, 8443. */
  ports?: readonly number[];
  /** Default: as this machine resolves names. */
  resolve?: Resolve;
}

const openPorts = [80, 443, 8080, 8443];
const defaultPorts: Readonly<Record<string, number>> = { "http:": 80, "https:": 443 };

/** Longer addresses are data that somebody carries out, or an attack on whoever parses them. Characters. */
const maxUrlChars = 8_192;

const systemResolve: Resolve = async (hostname) => {
  const found = await lookup(hostname, { all: true });
  return found.map(({ address }) => address);
};

/** Failures of the name service itself; whatever else it says means that there is no such name. */
const isPassing = (error: unknown): boolean =>
  error instanceof Error && "code" in error && (error.code === "EAI_AGAIN" || error.code === "ETIMEOUT");

/** A name as it is written in an address: without the brackets of IPv6. */
const bareHost = (hostname: string): string => (hostname.startsWith("[") ? hostname.slice(1, -1) : hostname);

const keyOf = (host: string, port: number): string => `${host} ${port}`;

/**
 * One entry of an allow-list, normalised as addresses are.
 * @throws TypeError for anything but `host:port`
 */
const listedKey = (entry: string): string => {
  const url = URL.canParse(`http://${entry}`) ? new URL(`http://${entry}`) : null;
  const port = /:(\d{1,5})$/.exec(entry)?.[1];
  if (!url || port === undefined || url.pathname !== "/" || url.search !== "" || url.hash !== "" || url.username !== "")
    throw new TypeError(`"${entry}" is not of the form host:port`);
  return keyOf(bareHost(url.hostname), Number(port));
};

/** @throws EgressError if it is not an absolute http address without a password in it */
export const parseUrl = (text: string, base?: URL): URL => {
  if (text.length > maxUrlChars) throw new EgressError("invalid_url", "The address is too long.");
  if (!URL.canParse(text, base)) throw new EgressError("invalid_url", "This is not a complete web address.");
  return new URL(text, base);
};

/** @throws TypeError for an entry of `allow` that cannot be meant */
export const createGuard = ({ allow = [], ports = openPorts, resolve = systemResolve }: GuardOptions): Guard => {
  const listed = new Set(allow.map(listedKey));
  return {
    admit: (url) => {
      const usual = defaultPorts[url.protocol];
      if (usual === undefined)
        throw new EgressError("invalid_url", "Only http and https addresses can be reached from here.");
      if (url.username !== "" || url.password !== "")
        throw new EgressError("invalid_url", "Addresses with a user name or a password in them are not used.");
      const host = bareHost(url.hostname);
      const port = url.port === "" ? usual : Number(url.port);
      if (listed.has(keyOf(host, port))) return { host, port, listed: true };
      if (!ports.includes(port)) throw new EgressError("port", `Port ${port} is not open from here.`);
      return { host, port, listed: false };
    },
    addressesOf: async (destination) => {
      const { host } = destination;
      if (isIP(host) !== 0) {
        if (destination.listed || isPublicAddress(host)) return [host];
        throw new EgressError("not_public", `${host} is not a public address.`);
      }
      let found: readonly string[];
      try {
        found = await resolve(host);
      } catch (error) {
        if (isPassing(error))
          throw new EgressError("unreachable", `${host} could not be looked up just now.`, { cause: error });
        found = [];
      }
      // All of them: a name that leads in here as well as out is not worth a guess which one is connected to.
      if (found.length > 0 && (destination.listed || found.every(isPublicAddress))) return found;
      throw new EgressError("not_public", `There is no public address for ${host}.`);
    },
  };
};
