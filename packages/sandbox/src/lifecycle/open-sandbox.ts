import type { SandboxRef } from "../port/provider.ts";
import type { OpenSandbox, Sandbox } from "../port/sandbox.ts";
import { ensureSandbox, type LifecycleDeps, transact } from "./ensure-sandbox.ts";
import { markActive, type SandboxScope } from "./sandbox-rows.ts";

/**
 * Between two notes that a sandbox is in use. Far below the shortest idle time that anybody sets (minutes), far above what a run's
 * tool calls would otherwise cost in statements.
 */
const noteActivityEveryMs = 60_000;

interface Opened {
  ref: SandboxRef;
  sandbox: Sandbox;
  notedAt: number;
}

/**
 * What a run gives its tools: opens the project's sandbox when the first tool needs it, and answers the same handle to all others. A
 * sandbox that has vanished meanwhile is made anew, and its handle says so.
 */
export const openSandboxLazily = (deps: LifecycleDeps, scope: SandboxScope, signal?: AbortSignal): OpenSandbox => {
  let current: Promise<Opened> | null = null;

  const open = async (): Promise<Opened> => {
    const { ref, notices } = await ensureSandbox(deps, scope, signal);
    return { ref, sandbox: deps.provider.open(ref, notices), notedAt: performance.now() };
  };
  const isGone = async ({ ref }: Opened): Promise<boolean> => (await deps.provider.state(ref, signal)) === "gone";

  /** One opening at a time: tools that ask meanwhile get the same. One that failed is forgotten, so that the next call tries again. */
  const openOnce = (): Promise<Opened> => {
    const opening = open();
    current = opening;
    opening.catch(() => {
      if (current === opening) current = null;
    });
    return opening;
  };

  return async () => {
    if (current === null) return (await openOnce()).sandbox;
    const asked = current;
    const opened = await asked;
    if (await isGone(opened)) return (await (current === asked ? openOnce() : current)).sandbox;
    if (performance.now() - opened.notedAt > noteActivityEveryMs) {
      opened.notedAt = performance.now();
      await transact(deps, scope, (tx) => markActive(tx, opened.ref.id, deps.provider.name));
    }
    return opened.sandbox;
  };
};
