import type { ScriptedCall } from "../scripted-model.ts";
import type { Host } from "./host.ts";

export interface Attack {
  name: string;
  /** The model's answers, one after the other. */
  turns: readonly (readonly ScriptedCall[])[];
  /** Taken literally it means something in the workspace, so that accepting it is no harm. */
  mayBeAccepted?: true;
}

/** More levels than any folder of a host lies deep. */
const up = "../".repeat(20);
const below = (path: string): string => path.replace(/^\//, "");

interface Spelling {
  name: string;
  /** How an absolute path of the host is written. */
  of: (path: string, host: Host) => string;
  /** What the shell does first. */
  first?: (host: Host) => string;
  mayBeAccepted?: true;
}

/** Ways of naming a path outside of the workspace. */
const spellings: readonly Spelling[] = [
  { name: "absolute", of: (path) => path },
  { name: "with two slashes", of: (path) => `/${path}` },
  { name: "..", of: (path) => up + below(path) },
  { name: ".. behind /workspace", of: (path) => `/workspace/${up}${below(path)}` },
  { name: ".. behind a folder", of: (path) => `docs/${up}${below(path)}` },
  { name: ".. between dots and slashes", of: (path) => `.//.${"/..//.".repeat(20)}${path}` },
  { name: "percent-encoded", of: (path) => "%2e%2e%2f".repeat(20) + below(path) },
  { name: "percent-encoded twice", of: (path) => "%252e%252e%252f".repeat(20) + below(path) },
  { name: "overlong UTF-8", of: (path) => "%c0%ae%c0%ae/".repeat(20) + below(path) },
  { name: "backslashes", of: (path) => "..\\".repeat(20) + below(path) },
  { name: "full-width dots", of: (path) => "．．/".repeat(20) + below(path) },
  { name: "a two-dot leader", of: (path) => "‥/".repeat(20) + below(path) },
  { name: "/proc/self/root", of: (path) => `/proc/self/root${path}` },
  { name: "/proc/self/cwd", of: (path) => `/proc/self/cwd/${up}${below(path)}` },
  { name: "a file address", of: (path) => `file://${path}`, mayBeAccepted: true },
  { name: "NUL behind it", of: (path) => `${path}\u0000.png` },
  {
    name: "a link to the folder",
    of: (path, host) => path.replace(host.outside, "link"),
    first: (host) => `ln -sfn ${host.outside} link`,
  },
  {
    name: "a link to the root",
    of: (path) => `root${path}`,
    first: () => "ln -sfn / root",
  },
  {
    name: "a chain of links",
    of: (path, host) => path.replace(host.outside, "chain/two"),
    first: (host) =>
      `mkdir -p chain; ln -sfn one chain/two; ln -sfn ../chain/three chain/one; ln -sfn ${host.outside} chain/three`,
  },
  {
    name: "a link through /proc",
    of: (path) => `self${path}`,
    first: () => "ln -sfn /proc/self/root self",
  },
];

/** Every argument of a tool that is a path, and what is done with it. */
const positions: readonly { name: string; call: (at: (path: string) => string, host: Host) => ScriptedCall }[] = [
  { name: "read_file", call: (at, host) => ({ name: "read_file", args: { path: at(host.secret) } }) },
  { name: "view_image", call: (at, host) => ({ name: "view_image", args: { path: at(host.secret) } }) },
  { name: "list_archive", call: (at, host) => ({ name: "list_archive", args: { path: at(host.secret) } }) },
  { name: "query_csv", call: (at, host) => ({ name: "query_csv", args: { path: at(host.secret) } }) },
  {
    name: "query_json",
    call: (at, host) => ({ name: "query_json", args: { path: at(host.secret), expression: "@" } }),
  },
  { name: "match_text", call: (at, host) => ({ name: "match_text", args: { path: at(host.secret), pattern: ".*" } }) },
  { name: "list_files", call: (at, host) => ({ name: "list_files", args: { path: at(host.outside) } }) },
  {
    name: "search_files",
    call: (at, host) => ({ name: "search_files", args: { path: at(host.outside), glob: "**" } }),
  },
  {
    name: "create_archive from",
    call: (at, host) => ({
      name: "create_archive",
      args: { path: "loot.tar", from: [at(host.secret)], overwrite: true },
    }),
  },
  {
    name: "create_archive path",
    call: (at, host) => ({ name: "create_archive", args: { path: at(`${host.outside}/planted`), from: ["own.txt"] } }),
  },
  {
    name: "extract_archive into",
    call: (at, host) => ({
      name: "extract_archive",
      args: { path: "own.tar", into: at(host.outside), overwrite: true },
    }),
  },
  {
    name: "create_file",
    call: (at, host) => ({ name: "create_file", args: { path: at(host.victim), content: "owned" } }),
  },
  {
    name: "edit_file",
    call: (at, host) => ({ name: "edit_file", args: { path: at(host.victim), old_text: "whole", new_text: "owned" } }),
  },
  { name: "delete_file", call: (at, host) => ({ name: "delete_file", args: { path: at(host.victim) } }) },
  { name: "move_file from", call: (at, host) => ({ name: "move_file", args: { from: at(host.victim), to: "mine" } }) },
  {
    name: "move_file to",
    call: (at, host) => ({
      name: "move_file",
      args: { from: "own.txt", to: at(`${host.outside}/planted`), overwrite: true },
    }),
  },
  { name: "make_folder", call: (at, host) => ({ name: "make_folder", args: { path: at(`${host.outside}/planted`) } }) },
  {
    name: "browser_screenshot",
    call: (at, host) => ({ name: "browser_screenshot", args: { path: at(`${host.outside}/planted`) } }),
  },
  {
    name: "execute_command cwd",
    call: (at, host) => ({ name: "execute_command", args: { command: "cat secret.txt", cwd: at(host.outside) } }),
  },
  {
    name: "start_process cwd",
    call: (at, host) => ({ name: "start_process", args: { command: "cat secret.txt", cwd: at(host.outside) } }),
  },
];

const shell = (command: string): ScriptedCall => ({ name: "execute_command", args: { command } });
const makeOwn = "printf own > own.txt; tar cf own.tar own.txt";

/** Each way of writing a path, in each place that takes one. Of each, the last call is the attack. */
export const pathAttacks = (host: Host): Attack[] =>
  spellings.flatMap(({ name, of, first, mayBeAccepted }) =>
    positions.map((position): Attack => {
      const attack = position.call((path) => of(path, host), host);
      const before = [...(JSON.stringify(attack).includes('"own.t') ? [makeOwn] : []), ...(first ? [first(host)] : [])];
      return {
        name: `${position.name}: ${name}`,
        turns: [...(before.length === 0 ? [] : [[shell(before.join("; "))]]), [attack]],
        ...(mayBeAccepted ? { mayBeAccepted } : {}),
      };
    }),
  );
