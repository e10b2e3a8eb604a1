import type { Manifest } from "./import-findings.ts";
import { ROOMS } from "./rooms.ts";

const SCOPE = "@cortex/";

/** What is wrong with the packages themselves: an unknown room, a dependency the table forbids, a cycle. One sentence each. */
export function manifestFindings(manifests: ReadonlyMap<string, Manifest>): string[] {
  const findings: string[] = [];
  const graph = new Map<string, string[]>();
  for (const [home, manifest] of manifests) {
    if (home === "") continue;
    const name = home.split("/")[1] ?? "";
    const room = ROOMS[name];
    if (room === undefined) {
      findings.push(`${home}: no such room in scripts/house/rooms.ts (and so in ARCHITECTURE.md)`);
      continue;
    }
    if (manifest.name !== `${SCOPE}${name}`) findings.push(`${home}: is named ${manifest.name}, not ${SCOPE}${name}`);
    const needs = Object.keys(manifest.dependencies ?? {}).flatMap((dependency) =>
      dependency.startsWith(SCOPE) ? [dependency.slice(SCOPE.length)] : [],
    );
    const open = [...room.imports, ...Object.values(room.onlyIn ?? {}).flat()].map((door) => door.split("/")[0]);
    for (const need of needs) {
      if (!open.includes(need)) findings.push(`${home}: may not depend on ${SCOPE}${need}`);
    }
    graph.set(name, needs);
  }
  const cycle = findCycle(graph);
  return cycle === null ? findings : [...findings, `packages in a cycle: ${cycle.join(" → ")}`];
}

/** The first cycle that is found, with its first node repeated at the end, or null. */
export function findCycle(graph: ReadonlyMap<string, readonly string[]>): string[] | null {
  const finished = new Set<string>();
  const visit = (node: string, path: readonly string[]): string[] | null => {
    const seen = path.indexOf(node);
    if (seen !== -1) return [...path.slice(seen), node];
    if (finished.has(node)) return null;
    for (const next of graph.get(node) ?? []) {
      const cycle = visit(next, [...path, node]);
      if (cycle !== null) return cycle;
    }
    finished.add(node);
    return null;
  };
  for (const node of graph.keys()) {
    const cycle = visit(node, []);
    if (cycle !== null) return cycle;
  }
  return null;
}
