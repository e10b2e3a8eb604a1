import { BlockList, isIPv4, isIPv6 } from "node:net";

/** IPv4 that is not the public internet, or is a metadata service on a public number. IANA's special-purpose registry. */
const denied4 = new BlockList();
for (const [network, prefix] of [
  ["0.0.0.0", 8], // "this network": Linux takes 0.0.0.0 for 127.0.0.1
  ["10.0.0.0", 8],
  ["100.64.0.0", 10], // carrier-grade NAT; Alibaba's metadata service
  ["127.0.0.0", 8],
  ["168.63.129.16", 32], // Azure's platform service
  ["169.254.0.0", 16], // link-local; most metadata services
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24], // 6to4 relays
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
] as const) {
  denied4.addSubnet(network, prefix, "ipv4");
}

/** The only IPv6 that is handed out to the public internet; whatever else exists or comes to exist is refused. */
const global6 = new BlockList();
global6.addSubnet("2000::", 3, "ipv6");

/** Parts of it that are not, or that carry an IPv4 address through a tunnel. */
const denied6 = new BlockList();
for (const [network, prefix] of [
  ["2001::", 23], // IETF protocol assignments, Teredo among them
  ["2001:db8::", 32],
  ["2002::", 16], // 6to4
  ["3fff::", 20],
] as const) {
  denied6.addSubnet(network, prefix, "ipv6");
}

/** IPv6 whose last 32 bits are an IPv4 address that is reached instead: mapped, and NAT64. */
const carrying4 = [/^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/, /^64:ff9b::(?:([0-9a-f]{1,4}):)?([0-9a-f]{1,4})$/];

/** The one way to write an IPv6 address: lower case, longest run of zeros left out, no dots. */
const canonical6 = (address: string): string => new URL(`http://[${address}]`).hostname.slice(1, -1);

const dotted = (high: string | undefined, low: string): string => {
  const bits = Number.parseInt(high ?? "0", 16) * 0x1_0000 + Number.parseInt(low, 16);
  return [24, 16, 8, 0].map((shift) => Math.floor(bits / 2 ** shift) % 256).join(".");
};

/**
 * Is this address on the public internet? False for private, loopback, link-local, multicast, reserved and metadata addresses, for IPv6 with a
 * zone, and for anything that is no address.
 */
export const isPublicAddress = (address: string): boolean => {
  if (isIPv4(address)) return !denied4.check(address, "ipv4");
  if (!isIPv6(address) || address.includes("%")) return false;
  const canonical = canonical6(address);
  for (const pattern of carrying4) {
    const [whole, high, low] = pattern.exec(canonical) ?? [];
    if (whole !== undefined && low !== undefined) return !denied4.check(dotted(high, low), "ipv4");
  }
  return global6.check(canonical, "ipv6") && !denied6.check(canonical, "ipv6");
};
