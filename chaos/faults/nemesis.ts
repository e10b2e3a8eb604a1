import type { Client } from "@cortex/client";
import type { Injection, StopAck } from "../check/history.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { FleetProcess } from "../fleet/fleet-process.ts";
import { pause } from "../load/pause.ts";
import { createRandom, type Random } from "./random.ts";

/** What an injector may lay hands on. */
export interface World {
  fleet: Fleet;
  client: Client;
  stops: StopAck[];
  /** Milliseconds since the beginning. */
  now(): number;
  /** Starts a process again, as a supervisor would: until it stands, whatever is broken meanwhile. */
  revive(process: FleetProcess): void;
  /** Aborts when no more harm shall be done. */
  signal: AbortSignal;
}

/** Somebody who does one kind of harm, again and again. */
export interface Nemesis {
  kind: string;
  /** Between two acts, give or take a quarter. Milliseconds. */
  everyMs: number;
  /** Acts at most. Default: no limit. */
  times?: number;
  /** @returns what was done, in a few words; null if there was nothing to harm, which does not count */
  act(world: World, random: Random): Promise<string | null>;
}

/** Lets a nemesis loose until the world's signal ends it. A fault that it began is over when this resolves. */
export const haunt = async (
  nemesis: Nemesis,
  world: World,
  deps: { seed: number; note: (injection: Injection) => void },
): Promise<void> => {
  const random = createRandom(deps.seed, nemesis.kind);
  for (let acts = 0; acts < (nemesis.times ?? Infinity);) {
    await pause(nemesis.everyMs * (0.75 + random.next() / 2), world.signal);
    if (world.signal.aborted) return;
    const at = world.now();
    const detail = await nemesis.act(world, random);
    if (detail === null) continue;
    acts += 1;
    deps.note({ at, kind: nemesis.kind, detail });
  }
};
