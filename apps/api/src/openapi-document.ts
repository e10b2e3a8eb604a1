import type { Api } from "./request-context.ts";

const description = `Start agent runs, follow them live, stop them, inspect them.

The same routes answer under \`/api\` and \`/api/v1\`. Every answer carries \`x-request-id\`. Every failure is a problem document (RFC 9457) with a
\`code\` of a closed set. What belongs to another account answers 404, like what does not exist.`;

const bearer = {
  type: "http",
  scheme: "bearer",
  bearerFormat: "JWT",
  description: "An access token of the Supabase project",
} as const;

const ticket = {
  type: "apiKey",
  in: "query",
  name: "ticket",
  description: "From `createStreamTicket`: for a client that cannot send headers, and for the stream of one run only",
} as const;

const accountHeader = {
  name: "X-Account-Id",
  in: "header",
  required: false,
  description: "The account that the call acts for; default: the caller's personal account",
  schema: { type: "string", format: "uuid" },
} as const;

const idempotencyHeader = {
  name: "Idempotency-Key",
  in: "header",
  required: false,
  description:
    "The same key with the same body gets the first answer again (kept 7 days), with another body 422, while the first is in flight 409",
  schema: { type: "string", minLength: 1, maxLength: 255 },
} as const;

type Document = ReturnType<Api["getOpenAPI31Document"]>;

/** The published form of the contract. The same for every deployment: a test keeps the checked-in file equal. */
export const openApiDocument = (api: Api): Document => {
  const document = api.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Cortex",
      version: "1",
      description,
      license: { name: "Apache-2.0", url: "https://www.apache.org/licenses/LICENSE-2.0" },
    },
    servers: [{ url: "/api" }],
  });
  document.components = {
    ...document.components,
    securitySchemes: { bearer, ticket },
    parameters: { ...document.components?.parameters, AccountId: accountHeader, IdempotencyKey: idempotencyHeader },
  };
  for (const item of Object.values(document.paths ?? {})) {
    for (const operation of [item.get, item.post, item.put, item.patch, item.delete]) {
      if (!operation?.security) continue;
      const headers = [{ $ref: "#/components/parameters/AccountId" }];
      if (operation["x-idempotent"] === true) headers.push({ $ref: "#/components/parameters/IdempotencyKey" });
      delete operation["x-idempotent"];
      operation.parameters = [...(operation.parameters ?? []), ...headers];
    }
  }
  return document;
};
