import { PreviewLink } from "@cortex/contracts";
import { call, type Caller, type CallOptions } from "../http/call.ts";
import { path } from "../http/connection.ts";

/** The routes of sandboxes. Errors of each: those of `call`. */
export const sandboxRoutes = (caller: Caller) => ({
  /** A link to a port that an agent has exposed; whoever has it sees the page. Codes: `port_not_exposed`. */
  getPreviewLink: (sandboxId: string, port: number, options?: CallOptions) =>
    call(caller, {
      method: "GET",
      path: path`/sandboxes/${sandboxId}/ports/${String(port)}`,
      answer: PreviewLink,
      kind: "read",
      options,
    }),
});
