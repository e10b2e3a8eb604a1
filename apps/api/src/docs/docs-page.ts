import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Api } from "../request-context.ts";

/** Files of Swagger UI that the page needs, served from our own address: a page of documentation must not call anybody. */
const assets = [
  {
    name: "swagger-ui.css",
    type: "text/css; charset=utf-8",
    file: import.meta.resolve("swagger-ui-dist/swagger-ui.css"),
  },
  {
    name: "swagger-ui-bundle.js",
    type: "text/javascript; charset=utf-8",
    file: import.meta.resolve("swagger-ui-dist/swagger-ui-bundle.js"),
  },
] as const;

const page = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>Cortex API</title>
    <link rel="icon" href="data:," />
    <link rel="stylesheet" href="/docs/swagger-ui.css" />
  </head>
  <body>
    <div id="docs"></div>
    <script src="/docs/swagger-ui-bundle.js"></script>
    <script src="/docs/start.js"></script>
  </body>
</html>
`;

const start = `window.SwaggerUIBundle({ url: "/api/openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null });\n`;

/** Nothing but our own address; Swagger UI sets styles on elements and has its icons in data URLs. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** The library changes only with a release of ours. */
const cachedForADay = "public, max-age=86400";

/** The contract as a document for programs (`/openapi.json`) and as a page for people (`/docs`). Open to everyone. */
export const registerDocs = (api: Api, describe: () => object): void => {
  let document: string | null = null;

  api.get("/openapi.json", (c) => {
    document ??= JSON.stringify(describe());
    return c.body(document, 200, { "content-type": "application/json" });
  });

  api.get("/docs", (c) => {
    c.header("content-security-policy", policy);
    return c.html(page);
  });

  api.get("/docs/start.js", (c) => c.body(start, 200, { "content-type": "text/javascript; charset=utf-8" }));

  for (const { name, type, file } of assets) {
    api.get(`/docs/${name}`, async (c) => {
      c.header("cache-control", cachedForADay);
      return c.body(new Uint8Array(await readFile(fileURLToPath(file))), 200, { "content-type": type });
    });
  }
};
