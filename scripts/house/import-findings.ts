import { builtinModules } from "node:module";
import { posix } from "node:path";
import { LIBRARY_OWNERS, ROOMS, type Room } from "./rooms.ts";
import { sourceImports } from "./source-imports.ts";

/** What the rules need to know of a package.json. */
export type Manifest = {
  readonly name: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly exports?: Readonly<Record<string, string>>;
};

/**
 * Terms.
 * - home: the folder of a package, `packages/<room>` or `apps/<room>`; "" is the workspace root (bench, chaos, scripts).
 * - proof: code that exists to test or measure: `*.test.ts`, conformance suites, a room's own `testing/` folders,
 *   `packages/testing`, `bench`, `chaos`, `scripts`. It may drive a stand-in with the vendor's real library, so libraries have no
 *   owner there.
 */
export type Workspace = {
  /** Manifest by home. */
  readonly manifests: ReadonlyMap<string, Manifest>;
  /** Source by path from the workspace root, with forward slashes. */
  readonly sources: ReadonlyMap<string, string>;
};

const HTTP_MODULES = new Set(["node:http", "node:https", "node:http2", "node:net", "node:tls"]);
const SCOPE = "@cortex/";

/** One sentence per import that breaks a rule of the house; empty when all is well. */
export function importFindings(workspace: Workspace): string[] {
  const findings = new Set<string>();
  for (const [path, source] of workspace.sources) {
    for (const specifier of sourceImports(path, source)) {
      const finding = judge(workspace, path, specifier);
      if (finding !== null) findings.add(`${path}: ${finding}`);
    }
  }
  return [...findings];
}

function judge(workspace: Workspace, path: string, specifier: string): string | null {
  const home = homeOf(path);
  if (specifier.startsWith(".")) return judgeRelative(home, path, specifier);
  if (specifier.startsWith("node:")) return judgeBuiltin(home, path, specifier);
  if (builtinModules.includes(specifier)) return `"${specifier}" is a module of Node: write "node:${specifier}"`;
  if (specifier.startsWith(SCOPE)) return judgeRoom(workspace, path, specifier);
  return judgeLibrary(workspace, path, specifier);
}

function judgeRelative(home: string, path: string, specifier: string): string | null {
  const target = posix.normalize(posix.join(posix.dirname(path), specifier));
  if (homeOf(target) !== home) return `"${specifier}" leaves its package: import "${SCOPE}…" by name`;
  return isProof(target) && !isProof(path) ? `"${specifier}" is for tests only` : null;
}

function judgeBuiltin(home: string, path: string, specifier: string): string | null {
  const room = roomOf(home);
  if (room === null || isProof(path)) return null;
  if (room.browserSafe) return `"${specifier}" in a room that runs in a browser too`;
  if (room.sockets && specifier === "node:net") return null;
  if (room.noHttp && HTTP_MODULES.has(specifier)) return `"${specifier}" in a room that knows no HTTP`;
  return null;
}

function judgeRoom(workspace: Workspace, path: string, specifier: string): string | null {
  const home = homeOf(path);
  const door = specifier.slice(SCOPE.length);
  const [name = "", ...rest] = door.split("/");
  const target = ["packages", "apps"].map((kind) => workspace.manifests.get(`${kind}/${name}`)).find(Boolean);
  if (target === undefined) return `"${specifier}" is no room of this house`;
  if (name === nameOf(home)) return `"${specifier}" is this very package: import the file`;
  const subpath = rest.length === 0 ? "." : `./${rest.join("/")}`;
  if (target.exports?.[subpath] === undefined) return `"${specifier}" is not among the exports of ${SCOPE}${name}`;
  if (home === "") return null;
  if (name === "testing") return isProof(path) ? null : `"${specifier}" is for tests only`;
  if (!doors(path).some((open) => door === open || door.startsWith(`${open}/`))) {
    return `"${nameOf(home)}" may not import "${specifier}" here`;
  }
  return isListed(workspace, path, `${SCOPE}${name}`) ? null : unlisted(home, `${SCOPE}${name}`);
}

function judgeLibrary(workspace: Workspace, path: string, specifier: string): string | null {
  const home = homeOf(path);
  const parts = specifier.split("/");
  const library = parts.slice(0, specifier.startsWith("@") ? 2 : 1).join("/");
  const owners = LIBRARY_OWNERS[library];
  if (owners !== undefined && !owners.includes(nameOf(home)) && !isProof(path)) {
    return `"${library}" belongs to ${owners.join(", ")}`;
  }
  return isListed(workspace, path, library) ? null : unlisted(home, library);
}

/** Proof may use what its own devDependencies and the root's (the test runner, the generators) offer. */
function isListed({ manifests }: Workspace, path: string, library: string): boolean {
  const own = manifests.get(homeOf(path));
  if (own?.dependencies?.[library] !== undefined) return true;
  if (!isProof(path)) return false;
  return own?.devDependencies?.[library] !== undefined || manifests.get("")?.devDependencies?.[library] !== undefined;
}

const unlisted = (home: string, library: string): string =>
  `"${library}" is not in the dependencies of ${posix.join(home, "package.json")}`;

function doors(path: string): readonly string[] {
  const home = homeOf(path);
  const room = roomOf(home);
  if (room === null) return [];
  const within = path.slice(home.length + 1);
  const inFolder = Object.entries(room.onlyIn ?? {}).flatMap(([folder, open]) =>
    within.startsWith(folder) ? open : [],
  );
  return [...room.imports, ...inFolder];
}

function isProof(path: string): boolean {
  const home = homeOf(path);
  if (home === "" || home === "packages/testing") return true;
  return path.slice(home.length).includes("/testing/") || /(\.test|[.-]conformance|\/conformance)\.tsx?$/.test(path);
}

function homeOf(path: string): string {
  const [kind = "", name = ""] = path.split("/");
  return kind === "packages" || kind === "apps" ? `${kind}/${name}` : "";
}

const nameOf = (home: string): string => home.split("/")[1] ?? "";

const roomOf = (home: string): Room | null => ROOMS[nameOf(home)] ?? null;
