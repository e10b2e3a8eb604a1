import { readFile } from "node:fs/promises";
import { stripTypeScriptTypes } from "node:module";
import { extname, join, normalize } from "node:path";
import type { Answer } from "./http-server.ts";

const root = join(import.meta.dirname, "../../../..");

/** Where a page finds what the sources import by name. They are served as they are, types taken off: there is nothing to bundle. */
const imports = {
  "@cortex/client": "/packages/client/src/index.ts",
  "@cortex/contracts": "/packages/contracts/src/index.ts",
  zod: "/node_modules/zod/index.js",
};

const policy = "default-src 'none'; script-src 'self' 'unsafe-inline'; connect-src *";

/** Serves a page that runs `script`, and the sources of this repository as modules. What the page posts to `/told` goes to `told`. */
export const pageAnswer = (input: { script: string; told: (text: string) => void }): Answer => {
  const page = `<!doctype html><script type="importmap">${JSON.stringify({ imports })}</script><script type="module">${input.script}</script>`;
  return async (request, response) => {
    if (request.method === "POST") {
      input.told(request.body);
      return void response.writeHead(204).end();
    }
    if (request.path === "/") {
      return void response.writeHead(200, { "content-type": "text/html", "content-security-policy": policy }).end(page);
    }
    const source = await sourceOf(request.path);
    if (source === null) return void response.writeHead(404).end();
    response.writeHead(200, { "content-type": "text/javascript" }).end(source);
  };
};

const sourceOf = async (path: string): Promise<string | null> => {
  const kind = extname(path);
  const isOurs = path.startsWith("/packages/") || path.startsWith("/node_modules/zod/");
  if (normalize(path) !== path || !isOurs || ![".ts", ".js"].includes(kind)) return null;
  const source = await readFile(join(root, path), "utf8");
  return kind === ".ts" ? stripTypeScriptTypes(source) : source;
};
