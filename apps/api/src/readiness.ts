import type { Ready } from "@cortex/contracts";

/** A dependency that takes longer than this is as good as away: the probe's own patience is usually a few seconds. */
const patienceMs = 2_000;

export type Readiness = () => Promise<Ready>;

type Durability = NonNullable<Ready["durability"]>;

/** The questions that prove that each dependency answers. */
export interface ReadinessDeps {
  postgres: () => Promise<Durability["postgres"]>;
  redis: () => Promise<Durability["redis"]>;
  jwks: () => Promise<void>;
}

type Probe<Answer> = { up: true; answer: Answer } | { up: false; detail: string };

const probe = async <Answer>(ask: () => Promise<Answer>): Promise<Probe<Answer>> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Probe<Answer>>((resolve) => {
    timer = setTimeout(() => resolve({ up: false, detail: `no answer within ${patienceMs} ms` }), patienceMs);
  });
  const asked = ask().then(
    (answer): Probe<Answer> => ({ up: true, answer }),
    // The reason may name hosts and users; it stands in the log of whoever failed.
    (): Probe<Answer> => ({ up: false, detail: "does not answer, or refuses" }),
  );
  try {
    return await Promise.race([asked, late]);
  } finally {
    clearTimeout(timer);
  }
};

const stateOf = (result: Probe<unknown>): Ready["dependencies"][string] =>
  result.up ? { status: "up" } : { status: "down", detail: result.detail };

/** Asks every dependency at once; ready means that all of them answered. */
export const createReadiness =
  (deps: ReadinessDeps): Readiness =>
  async () => {
    const [postgres, redis, jwks] = await Promise.all([probe(deps.postgres), probe(deps.redis), probe(deps.jwks)]);
    return {
      status: postgres.up && redis.up && jwks.up ? "ready" : "not_ready",
      dependencies: { postgres: stateOf(postgres), redis: stateOf(redis), jwks: stateOf(jwks) },
      durability: postgres.up && redis.up ? { postgres: postgres.answer, redis: redis.answer } : null,
    };
  };
