import { AppError } from "@cortex/contracts";
import type { MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import { METHOD_NAME_ALL } from "hono/router";
import { aliases } from "./aliases.ts";
import type { Api, ApiContext } from "./request-context.ts";

const mostFaults = 20;
const longestName = 100;

/** `METHOD /path` below `/api`, as the router has it, with the query parameters that its published description names. */
const parametersByRoute = (api: Api): ReadonlyMap<string, ReadonlySet<string>> => {
  const known = new Map<string, ReadonlySet<string>>();
  for (const definition of api.openAPIRegistry.definitions) {
    if (definition.type !== "route") continue;
    const { method, path, request } = definition.route;
    const names = new Set(request?.query && "shape" in request.query ? Object.keys(request.query.shape) : []);
    const addresses = [path, ...aliases.filter((alias) => alias.of === path).map((alias) => alias.path)];
    for (const address of addresses)
      known.set(`${method.toUpperCase()} ${address.replaceAll(/\{(\w+)\}/g, ":$1")}`, names);
  }
  return known;
};

/**
 * Refuses query parameters that the route does not know, as unknown fields of a body are: a misspelt filter must not answer with everything.
 * Errors: `validation_failed`, with the names
 */
export const knownParameters = (api: Api): MiddlewareHandler<ApiContext> => {
  let known: ReadonlyMap<string, ReadonlySet<string>> | null = null;
  return async (c, next) => {
    const asked = Object.keys(c.req.queries());
    if (asked.length > 0) {
      known ??= parametersByRoute(api);
      // The first is the one that answers: `/versions/compare` is also an address of `/versions/{version}`.
      const route = matchedRoutes(c).find(({ method }) => method !== METHOD_NAME_ALL);
      const names = known.get(`${route?.method} ${route?.path.replace(/^\/api(\/v1)?/, "")}`) ?? new Set();
      const unknown = asked.filter((name) => !names.has(name));
      if (unknown.length > 0) throw refusal(unknown);
    }
    await next();
  };
};

const refusal = (names: readonly string[]): AppError => {
  const pointers = names
    .slice(0, mostFaults)
    .map((name) => `/query/${name.slice(0, longestName).replaceAll("~", "~0").replaceAll("/", "~1")}`);
  return new AppError("validation_failed", `${pointers.join(", ")}: this route has no such parameter`, {
    errors: pointers.map((pointer) => ({ pointer, detail: "is not a known parameter" })),
  });
};
