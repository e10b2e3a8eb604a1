import { SandboxError } from "./errors.ts";

declare const workspacePath: unique symbol;

/**
 * A path inside the workspace: relative, segments joined by `/`, no empty, `.` or `..` segment. The workspace itself is the
 * empty string. Only `parseWorkspacePath` makes one.
 */
export type WorkspacePath = string & { readonly [workspacePath]: true };

/** Where the workspace stands inside every sandbox, whatever the provider. */
export const workspaceRoot = "/workspace";

/** PATH_MAX of Linux less the room for the workspace's own prefix; NAME_MAX of every file system we meet. */
const maxPathBytes = 4_000;
const maxSegmentBytes = 255;

/** Decoding is repeated because a proxy in front may have decoded once or twice less than we expect; more rounds add nothing. */
const decodeRounds = 3;

/** C0, DEL and C1: no file name a person types has them, log lines and headers break on them. */
// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const controlCharacters = /[\u0000-\u001f\u007f-\u009f]/;

/** Percent-encoded bytes that begin an overlong form of an ASCII character: never valid UTF-8, only ever an attack. */
const overlongEncoding = /%(?:c0|c1|e0%(?:8|9)|f0%8)/i;

const outside = (detail: string): SandboxError => new SandboxError("path_outside_workspace", detail);

/** Percent-decodes what can be decoded and leaves the rest: a malformed sequence must not shield a well-formed one beside it. */
const decodeOnce = (text: string): string =>
  text.replaceAll(/(?:%[0-9a-f]{2})+/gi, (encoded) => {
    try {
      return decodeURIComponent(encoded);
    } catch {
      return encoded.replaceAll(/%([0-7][0-9a-f])/gi, (_, hex: string) =>
        String.fromCharCode(Number.parseInt(hex, 16)),
      );
    }
  });

const climbs = (text: string): boolean =>
  text.split(/[/\\]/).some((segment) => segment === ".." || segment.normalize("NFKC") === "..");

const refuseDisguises = (path: string): void => {
  let text = path;
  for (let round = 0; round <= decodeRounds; round++) {
    if (overlongEncoding.test(text)) throw outside("The path holds an invalid encoding.");
    if (climbs(text)) throw outside("The path must not contain '..'.");
    if (controlCharacters.test(text)) throw outside("The path must not contain control characters.");
    const decoded = decodeOnce(text);
    if (decoded === text) return;
    text = decoded;
  }
};

/**
 * The path rule of the contract: what a caller (a person, a program, a model) may name, for every provider.
 *
 * Accepts `a/b`, `./a/b`, `/workspace/a/b`, and `""`, `.` or `/workspace` for the workspace itself. Refuses `..` anywhere, also
 * percent-encoded, also twice; NUL and other control characters; a backslash; an absolute path elsewhere; what is too long.
 * A percent sign alone is an ordinary character: the name is never decoded, only checked for what its decoded forms would be.
 * Symlinks are judged inside the sandbox, where the files are.
 *
 * @throws SandboxError `path_outside_workspace`
 */
export const parseWorkspacePath = (path: string): WorkspacePath => {
  if (!path.isWellFormed()) throw outside("The path is not valid Unicode.");
  if (Buffer.byteLength(path) > maxPathBytes) throw outside(`The path is longer than ${maxPathBytes} bytes.`);
  refuseDisguises(path);
  if (path.includes("\\")) throw outside("The path must not contain a backslash.");

  let relative = path;
  if (path.startsWith("/")) {
    const segments = path.split("/").filter((segment) => segment !== "" && segment !== ".");
    if (`/${segments[0] ?? ""}` !== workspaceRoot) throw outside(`The path must be inside ${workspaceRoot}.`);
    relative = segments.slice(1).join("/");
  }
  const segments = relative.split("/").filter((segment) => segment !== "" && segment !== ".");
  if (segments.some((segment) => Buffer.byteLength(segment) > maxSegmentBytes)) {
    throw outside(`A name in the path is longer than ${maxSegmentBytes} bytes.`);
  }
  return segments.join("/") as WorkspacePath;
};

/** The path as commands in the sandbox see it: `/workspace/a/b`. */
export const absoluteWorkspacePath = (path: WorkspacePath): string =>
  path === "" ? workspaceRoot : `${workspaceRoot}/${path}`;
