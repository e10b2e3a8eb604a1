import { readdirSync, readFileSync } from "node:fs";
import type { FleetProcess } from "../fleet/fleet-process.ts";

/** Resident megabytes of a process; Linux only. */
export const residentMb = (process: FleetProcess): number => {
  const match = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${process.pid() ?? 0}/status`, "utf8"));
  return Number(match?.[1] ?? Number.NaN) / 1_024;
};

/** Open descriptors of a process: files, sockets, pipes; Linux only. */
export const descriptors = (process: FleetProcess): number => readdirSync(`/proc/${process.pid() ?? 0}/fd`).length;

/** Connections of a local port for which the kernel holds bytes that their other end does not take; Linux only. */
export const unsent = (port: number): number =>
  readFileSync("/proc/net/tcp", "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = "", , , queues = ""]) => {
      const isOfPort = Number.parseInt(local.split(":")[1] ?? "", 16) === port;
      return isOfPort && Number.parseInt(queues.split(":")[0] ?? "0", 16) > 0;
    }).length;
