import { AppError } from "@cortex/contracts";
import type { Logger } from "@cortex/observability";
import { createLocalJWKSet, errors, type JWTVerifyGetKey } from "jose";
import { z } from "zod";

/** How long fetched keys are taken as they are: what the endpoint's own `Cache-Control` says. A revoked key verifies that long. */
const freshMs = 10 * 60_000;

/** Not asked again earlier, whatever tokens come: unknown key ids cost an attacker nothing. cooldown < fresh. */
const cooldownMs = 30_000;

/** Keys outlive an endpoint that is away by this much; signed-in users go on. stale > fresh. */
const staleMs = 60 * 60_000;

/** A request may wait for the endpoint this long, once per cooldown. < the 3 s that a caller waits for a database connection. */
const patienceMs = 2_000;

const Jwks = z.object({ keys: z.array(z.looseObject({ kty: z.string() })) });

export interface ProjectKeys {
  /** The key of a token, by its `kid`. @throws AppError `unavailable` if no keys could be had */
  keyFor: JWTVerifyGetKey;
  /** Makes sure that keys are there, for readiness. @throws AppError `unavailable` */
  load(): Promise<void>;
}

export interface ProjectKeysDeps {
  url: string;
  log: Logger;
  /** Milliseconds, monotonic. */
  now?: () => number;
}

/** The public keys of a Supabase project, cached; one request at a time, and an endpoint that is away is survived. */
export const createProjectKeys = ({ url, log, now = () => performance.now() }: ProjectKeysDeps): ProjectKeys => {
  let keys: { find: JWTVerifyGetKey; fetchedAt: number } | null = null;
  let triedAt = Number.NEGATIVE_INFINITY;
  let underWay: Promise<void> | null = null;

  const fetchKeys = async (): Promise<void> => {
    triedAt = now();
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(patienceMs), redirect: "error" });
      if (!response.ok) throw new Error(`the JWKS endpoint answered ${response.status}`);
      keys = { find: createLocalJWKSet(Jwks.parse(await response.json())), fetchedAt: now() };
    } catch (error) {
      log.warn({ err: error }, "could not fetch the keys that verify tokens");
    }
  };

  const refresh = (): Promise<void> => {
    underWay ??= fetchKeys().finally(() => {
      underWay = null;
    });
    return underWay;
  };

  const ageOf = (held: typeof keys): number => (held === null ? Number.POSITIVE_INFINITY : now() - held.fetchedAt);
  const mayTry = (): boolean => underWay !== null || now() - triedAt >= cooldownMs;

  const current = async (): Promise<JWTVerifyGetKey> => {
    const age = ageOf(keys);
    // Without usable keys nothing is lost by asking for every request; with old ones nobody waits for an endpoint that has just failed.
    if (age >= freshMs && (age >= staleMs || mayTry())) await refresh();
    if (keys === null || ageOf(keys) >= staleMs) {
      throw new AppError("unavailable", "The service that verifies tokens does not answer at the moment.");
    }
    return keys.find;
  };

  return {
    load: async () => {
      await current();
    },
    keyFor: async (header, token) => {
      const find = await current();
      try {
        return await find(header, token);
      } catch (error) {
        // Maybe a key that the project has begun to sign with since.
        if (!(error instanceof errors.JWKSNoMatchingKey) || !mayTry()) throw error;
        await refresh();
        return (await current())(header, token);
      }
    },
  };
};
