import { OpenAPIHono } from "@hono/zod-openapi";
import { registerAliases } from "./aliases.ts";
import { authenticate } from "./authenticate.ts";
import { registerDocs } from "./docs/docs-page.ts";
import { allowOrigins, secureHeaders } from "./edge-headers.ts";
import { errorResponse } from "./error-response.ts";
import { knownParameters } from "./known-parameters.ts";
import { knownRoutes } from "./known-routes.ts";
import { openApiDocument } from "./openapi-document.ts";
import { readBody } from "./request-body.ts";
import type { Api, ApiContext } from "./request-context.ts";
import { traceRequests } from "./request-trace.ts";
import { registerAgentVersions } from "./routes/agent-versions.ts";
import { registerAgents } from "./routes/agents.ts";
import { registerApprovals } from "./routes/approvals.ts";
import { registerBilling } from "./routes/billing.ts";
import { registerCatalogue } from "./routes/catalogue.ts";
import { registerHealth } from "./routes/health.ts";
import { registerMe } from "./routes/me.ts";
import { registerMessages } from "./routes/messages.ts";
import { registerPreviews } from "./routes/previews.ts";
import { registerProjects } from "./routes/projects.ts";
import { registerRuns } from "./routes/runs.ts";
import { registerStarts } from "./routes/start.ts";
import { registerStream } from "./routes/stream.ts";
import { registerStreamTicket } from "./routes/stream-ticket.ts";
import { registerThreads } from "./routes/threads.ts";
import { registerMcpServers } from "./routes/mcp-servers.ts";
import { registerTools } from "./routes/tools.ts";
import type { ApiServices } from "./services.ts";
import { refuseInvalidInput } from "./valid-input.ts";

/** The routes below `/api`: first what is open to everyone, then `authenticate`, then the rest. */
const createApi = (services: ApiServices): Api => {
  const api: Api = new OpenAPIHono<ApiContext>({ defaultHook: refuseInvalidInput });
  registerHealth(api, services);
  registerDocs(api, () => openApiDocument(api));

  api.use(authenticate(services), knownParameters(api), readBody);
  registerMe(api, services);
  registerProjects(api, services);
  registerThreads(api, services);
  registerMessages(api, services);
  registerStarts(api, services);
  registerRuns(api, services);
  registerApprovals(api, services);
  registerStream(api, services);
  registerStreamTicket(api, services);
  registerAgents(api, services);
  registerAgentVersions(api, services);
  registerTools(api, services);
  registerMcpServers(api, services);
  registerPreviews(api, services);
  registerCatalogue(api, services);
  registerBilling(api, services);
  registerAliases(api);
  return api;
};

/** The whole application. Failures of every kind become problem documents here and nowhere else. */
export const createApp = (services: ApiServices): Api => {
  const app: Api = new OpenAPIHono<ApiContext>();
  app.onError((error, c) => errorResponse(c, error, services.log));
  app.use(traceRequests(services.log), secureHeaders, allowOrigins(services.webOrigins), knownRoutes(app));

  const api = createApi(services);
  // In this order: the middleware of `/api` would also run for `/api/v1`, but only behind a handler that has answered already.
  app.route("/api/v1", api);
  app.route("/api", api);
  // Probes and people look for these at the root.
  for (const route of api.routes) {
    if (/^\/(health|ready|docs)(\/|$)/.test(route.path)) app.on(route.method, route.path, route.handler);
  }
  app.get("/", (c) => c.redirect("/docs"));
  return app;
};
