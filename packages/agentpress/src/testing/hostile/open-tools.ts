import { execFile } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import { defineTool, type Tool } from "../../tool.ts";
import type { Host } from "./host.ts";

/* Tools without walls, by the names of ours: the control of the hostile suite. What does no harm here proves nothing there. */

/** A path as somebody reads it who makes every mistake there is: decoded, folded, cut at NUL, followed wherever it leads. */
const naivePath = (host: Host, path: string): string => {
  let text = path.replace(/^file:\/\//, "");
  for (let round = 0; round < 3; round += 1)
    text = text.replaceAll(/%c0%ae/gi, ".").replaceAll(/%(2e|2f|25|5c)/gi, (encoded) => decodeURIComponent(encoded));
  // The engine has put U+FFFD in the place of NUL by now.
  text = text
    .normalize("NFKC")
    .replaceAll("\\", "/")
    .replace(/[\u0000\uFFFD].*/, ""); // oxlint-disable-line no-control-regex -- NUL is the attack
  return resolve(host.workspace, text.replace(/^\/+workspace(?=\/|$)/, host.workspace));
};

/** A command on the host itself, as whoever runs the tests. */
const naiveCommand = (host: Host, command: string, cwd: string): Promise<string> =>
  new Promise((done) => {
    execFile(
      "bash",
      ["-c", command],
      { cwd, timeout: 20_000, env: { PATH: `${dirname(process.execPath)}:/usr/bin:/bin`, CANARY: host.canary } },
      (_, stdout, stderr) => done(`${stdout}${stderr}`),
    );
  });

type Args = Record<string, unknown>;
const textIn = (args: Args, key: string): string => {
  const given = args[key];
  return typeof given === "string" ? given : "";
};

export const openTools = (host: Host): Tool[] => {
  const at = (args: Args, key = "path") => naivePath(host, textIn(args, key));
  const read = (args: Args) => readFileSync(at(args), "utf8");
  const list = (args: Args) => readdirSync(at(args)).join("\n");
  const run = (args: Args) => naiveCommand(host, textIn(args, "command"), at(args, "cwd"));
  const acts: Record<string, (args: Args) => string | Promise<string>> = {
    read_file: read,
    view_image: read,
    list_archive: read,
    query_csv: read,
    query_json: read,
    match_text: read,
    count_text: read,
    check_json: read,
    list_files: list,
    search_files: list,
    execute_command: run,
    start_process: run,
    create_file: (args) => {
      writeFileSync(at(args), textIn(args, "content"));
      return "written";
    },
    edit_file: (args) => {
      writeFileSync(at(args), read(args).replace(textIn(args, "old_text"), textIn(args, "new_text")));
      return "edited";
    },
    delete_file: (args) => {
      rmSync(at(args), { recursive: true });
      return "deleted";
    },
    move_file: (args) => {
      renameSync(at(args, "from"), at(args, "to"));
      return "moved";
    },
    browser_screenshot: (args) => {
      writeFileSync(at(args), "a picture");
      return "taken";
    },
    make_folder: (args) => {
      mkdirSync(at(args), { recursive: true });
      return "made";
    },
    create_archive: (args) => {
      const from = z.array(z.string()).parse(args["from"]);
      const packed = from.map((path) => readFileSync(naivePath(host, path), "utf8")).join("");
      writeFileSync(at(args), packed);
      return packed;
    },
    extract_archive: (args) => {
      cpSync(at(args), join(at(args, "into"), "planted.txt"));
      return "unpacked";
    },
  };
  return Object.entries(acts).map(([name, act]) =>
    defineTool({
      name,
      title: name,
      description: `${name}, without a wall`,
      effect: "once",
      schema: z.looseObject({}),
      timeoutMs: 30_000,
      maxResultChars: 100_000,
      execute: async (args) => act(args),
    }),
  );
};
