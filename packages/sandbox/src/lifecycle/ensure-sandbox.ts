import { setTimeout as sleep } from "node:timers/promises";
import { randomUUID } from "node:crypto";
import { AppError } from "@cortex/contracts";
import type { Db, Tx } from "@cortex/db";
import type { Logger } from "@cortex/observability";
import { SandboxError } from "../port/errors.ts";
import type { SandboxProvider, SandboxRef } from "../port/provider.ts";
import type { SandboxNotice } from "../port/sandbox.ts";
import {
  claimCreation,
  failCreation,
  findSandbox,
  finishCreation,
  inScope,
  insertCreating,
  markActive,
  type SandboxRow,
  type SandboxScope,
} from "./sandbox-rows.ts";

export interface LifecycleDeps {
  db: Db;
  provider: SandboxProvider;
  log: Logger;
  /**
   * Runs what is asked of Postgres, and again while Postgres is away; all of it here bears being done twice. A tool call of a run should wait for
   * Postgres, not fail.
   */
  outlast: <Result>(work: () => Promise<Result>) => Promise<Result>;
}

/** One transaction of the sandbox's caller. */
export const transact = <Result>(
  deps: Pick<LifecycleDeps, "db" | "outlast">,
  scope: SandboxScope,
  work: (tx: Tx) => Promise<Result>,
): Promise<Result> => deps.outlast(() => inScope(deps.db, scope, work));

export interface EnsuredSandbox {
  ref: SandboxRef;
  notices: SandboxNotice[];
}

/** What is to be done about a project's row. */
export type RowVerdict =
  | { kind: "make" } // nobody makes it, or whoever did has died or failed
  | { kind: "wait" } // somebody is making it
  | { kind: "use"; ref: SandboxRef }
  | { kind: "foreign" }; // it stands with a provider that this deployment does not use any more

/** A claim is dead when the creation it stands for must have ended: provider timeout, then two statements, then clocks. */
const claimSlackMs = 5_000;

/** Local and virtual sandboxes are the same folder, served in two ways. */
const servedByThisMachine = new Set(["local", "virtual"]);

/** Pure: the row's age is by the database's clock. */
export const judgeRow = (
  row: SandboxRow | null,
  provider: Pick<SandboxProvider, "name" | "createTimeoutMs">,
): RowVerdict => {
  if (row === null || row.state === "deleted") return { kind: "make" };
  const same = row.provider === provider.name;
  if (!same && !(servedByThisMachine.has(row.provider) && servedByThisMachine.has(provider.name))) {
    return { kind: "foreign" };
  }
  if (row.state === "error") return { kind: "make" };
  if (row.state === "creating") {
    return { kind: row.age_ms > provider.createTimeoutMs + claimSlackMs ? "make" : "wait" };
  }
  return { kind: "use", ref: { id: row.id, externalId: row.external_id ?? row.id } };
};

type Step =
  | { kind: "made_by_us"; row: SandboxRow }
  | { kind: "wait" }
  | { kind: "use"; row: SandboxRow; ref: SandboxRef };

/**
 * Looks at the row and, if the sandbox has to be made, claims that: one transaction, so that only one of many gets it.
 * @param hasWaited for somebody else's attempt: then its failure is ours too, or ten callers would try ten times, one after the other
 */
const decide = (deps: LifecycleDeps, scope: SandboxScope, hasWaited: boolean): Promise<Step> => {
  const id = randomUUID();
  return transact(deps, scope, async (tx) => {
    const row = await findSandbox(tx, scope);
    // Inserted by us a moment ago, and the answer to that was lost: nobody else will make it.
    if (row?.id === id) return { kind: "made_by_us", row };
    if (row === null) {
      const inserted = await insertCreating(tx, scope, { id, provider: deps.provider.name });
      if (inserted !== null) return { kind: "made_by_us", row: inserted };
      if ((await findSandbox(tx, scope)) === null) throw new AppError("not_found", "There is no such project.");
      return { kind: "wait" };
    }
    const verdict = judgeRow(row, deps.provider);
    switch (verdict.kind) {
      case "use":
        return { ...verdict, row };
      case "wait":
        return verdict;
      case "foreign":
        throw new SandboxError(
          "sandbox_unavailable",
          `The project's sandbox was made by the provider '${row.provider}', which is not in use here.`,
        );
      case "make": {
        if (hasWaited && row.state === "error") {
          throw new SandboxError("sandbox_unavailable", `The sandbox could not be made: ${row.detail ?? "unknown"}`);
        }
        const claimed = await claimCreation(tx, row, deps.provider.name);
        return claimed === null ? { kind: "wait" } : { kind: "made_by_us", row: claimed };
      }
    }
  });
};

/** Makes the sandbox of a claim that is ours. Null if the claim was taken over while we made it: then it is the other's to tell. */
const make = async (
  deps: LifecycleDeps,
  scope: SandboxScope,
  row: SandboxRow,
  signal: AbortSignal | undefined,
): Promise<SandboxRef | null> => {
  const { provider } = deps;
  // Not the caller's signal: a caller who leaves must not leave a sandbox half made that the next one waits for.
  const limit = AbortSignal.timeout(provider.createTimeoutMs);
  try {
    const labels = { account_id: scope.accountId, project_id: scope.projectId };
    const ref = await provider.create({ id: row.id, labels }, limit);
    const finished = await transact(deps, scope, (tx) => finishCreation(tx, row, ref.externalId));
    deps.log.info({ sandbox_id: row.id, project_id: scope.projectId, provider: provider.name }, "sandbox made");
    return finished ? ref : null;
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    await transact(deps, scope, (tx) => failCreation(tx, row, detail));
    signal?.throwIfAborted();
    if (error instanceof SandboxError) throw error;
    throw new SandboxError("sandbox_unavailable", "The sandbox could not be made.", { cause: error });
  }
};

const recreated: SandboxNotice = {
  kind: "recreated",
  text: "The sandbox of this project was lost and has been made anew: its workspace is empty, earlier files are gone.",
};

/** Makes the sandbox anew whose row says that it exists and whose provider says that it does not. */
const remake = async (
  deps: LifecycleDeps,
  scope: SandboxScope,
  row: SandboxRow,
  signal: AbortSignal | undefined,
): Promise<EnsuredSandbox | null> => {
  const claimed = await transact(deps, scope, (tx) => claimCreation(tx, row, deps.provider.name));
  const ref = claimed === null ? null : await make(deps, scope, claimed, signal);
  if (ref === null) return null;
  deps.log.warn({ sandbox_id: row.id, project_id: scope.projectId }, "sandbox was gone and has been made anew");
  return { ref, notices: [recreated] };
};

/** While another process makes it, its row is looked at this often: a local one takes milliseconds, a remote one seconds. */
const pollMs = 50;

/**
 * The sandbox of a project, made on first need. However many ask at once, in however many processes, it is made once. It is not started:
 * the first call on its handle does that.
 *
 * @throws AppError `not_found` if the account has no such project; SandboxError `sandbox_unavailable` if it cannot be made;
 *   the signal's reason
 */
export const ensureSandbox = async (
  deps: LifecycleDeps,
  scope: SandboxScope,
  signal?: AbortSignal,
): Promise<EnsuredSandbox> => {
  for (let hasWaited = false; ; hasWaited = true) {
    signal?.throwIfAborted();
    const step = await decide(deps, scope, hasWaited);
    if (step.kind === "made_by_us") {
      const ref = await make(deps, scope, step.row, signal);
      if (ref !== null) return { ref, notices: [] };
    } else if (step.kind === "use") {
      if ((await deps.provider.state(step.ref, signal)) !== "gone") {
        await transact(deps, scope, (tx) => markActive(tx, step.ref.id, deps.provider.name));
        return { ref: step.ref, notices: [] };
      }
      const remade = await remake(deps, scope, step.row, signal);
      if (remade !== null) return remade;
    }
    await sleep(pollMs, undefined, signal === undefined ? {} : { signal });
  }
};
