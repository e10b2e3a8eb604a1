export { EgressError, type EgressErrorCode } from "./egress-error.ts";
export { createEgressProxy, type EgressProxy, type EgressProxyOptions } from "./proxy.ts";
export {
  createSafeFetch,
  type FetchLimits,
  type SafeFetch,
  type SafeFetchOptions,
  type SafeRequest,
  type SafeResponse,
} from "./safe-fetch.ts";
export type { Resolve } from "./guard.ts";
