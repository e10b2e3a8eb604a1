import { RequestId } from "@cortex/contracts";
import type { Logger } from "@cortex/observability";
import type { MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import { METHOD_NAME_ALL } from "hono/router";
import type { ApiContext, ApiRequest } from "./request-context.ts";

/** The request's name: the client's own if it is safe to stand in headers and logs, else a new one. */
const nameOf = (header: string | undefined): string => {
  const own = RequestId.safeParse(header);
  return own.success ? own.data : crypto.randomUUID();
};

/** The address as it was registered; middleware, which is registered for every method, does not count. */
const patternOf = (c: ApiRequest): string =>
  matchedRoutes(c).find((route) => route.method !== METHOD_NAME_ALL)?.path ?? "(none)";

/**
 * Names each request, and logs one line when it has been answered. The line has the route's pattern and never the address: ids are noise there,
 * and a query may hold a ticket.
 */
export const traceRequests =
  (log: Logger): MiddlewareHandler<ApiContext> =>
  async (c, next) => {
    const begin = performance.now();
    const requestId = nameOf(c.req.header("x-request-id"));
    c.set("requestId", requestId);
    c.header("x-request-id", requestId);
    await next();
    log.info(
      {
        method: c.req.method,
        route: patternOf(c),
        status: c.env.outgoing.headersSent ? c.env.outgoing.statusCode : c.res.status,
        ms: Math.round((performance.now() - begin) * 10) / 10,
        request_id: requestId,
        user_id: (c.get("caller") as { userId: string } | undefined)?.userId,
      },
      "request",
    );
  };
