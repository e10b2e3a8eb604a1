import type { Usd } from "@cortex/contracts";

/** What an account may do and what it costs to begin. The rows of `cortex.plans`; a test keeps the two equal. */
export interface Plan {
  id: string;
  name: string;
  /** No credit is asked for: for the local stack and for self-hosters who do not bill. What runs cost is written down all the same. */
  unlimited: boolean;
  /** Held back at start, so that parallel runs cannot spend the same credit twice. */
  reserveUsd: Usd;
  /** Runs that execute at once; more wait. Null: no limit. */
  maxParallelRuns: number | null;
  /** Runs that have not ended; more are refused. Null: no limit. At least maxParallelRuns, or the surplus could never be reached. */
  maxActiveRuns: number | null;
  /** Null: every model. */
  models: readonly string[] | null;
}

export const plans: readonly Plan[] = [
  {
    id: "local",
    name: "Local",
    unlimited: true,
    reserveUsd: "0",
    maxParallelRuns: null,
    maxActiveRuns: null,
    models: null,
  },
  {
    id: "free",
    name: "Free",
    unlimited: false,
    reserveUsd: "0.05",
    maxParallelRuns: 1,
    maxActiveRuns: 3,
    models: null,
  },
];
