import { AppError } from "@cortex/contracts";
import type { MiddlewareHandler } from "hono";
import { METHOD_NAME_ALL } from "hono/router";
import type { Api, ApiContext } from "./request-context.ts";

const methods = ["GET", "POST", "PUT", "PATCH", "DELETE"] as const;

/**
 * Refuses what no route answers before anybody is asked who they are: a wrong address or method says so to everyone. A route must name its
 * method to be known, so nothing can be reached past this and `authenticate` behind it.
 * Errors: `not_found`, `method_not_allowed` (with `Allow`)
 */
export const knownRoutes =
  (app: Api): MiddlewareHandler<ApiContext> =>
  async (c, next) => {
    const { path, method } = c.req;
    const answers = (each: string): boolean =>
      app.router.match(each, path)[0].some(([[, route]]) => route.method !== METHOD_NAME_ALL);
    if (answers(method === "HEAD" ? "GET" : method)) return next();
    const allowed = methods.filter(answers);
    if (allowed.length === 0) throw new AppError("not_found", "There is nothing at this address.");
    c.header("allow", allowed.join(", "));
    throw new AppError("method_not_allowed", `This address takes ${allowed.join(", ")}.`);
  };
