import { constants } from "node:fs";
import { Arguments } from "./arguments.ts";
import type { Handler } from "./calls.ts";
import { locate, openLocated, type Workspace } from "./confine.ts";
import { entryOf } from "./entries.ts";
import { Channel, maxDataBytes } from "./frames.ts";
import { OperationError, operationErrorFrom } from "./operation-error.ts";

/** Sends the entry, then the bytes, as fast as the host takes them. */
export const readFile =
  (workspace: Workspace): Handler =>
  async ({ args, signal, send }) => {
    const values = new Arguments(args);
    const path = values.text("path");
    const offset = values.count("offset");
    const length = values.countOrNull("length");
    const located = await locate(workspace, path);
    const handle = await openLocated(workspace, located, path, constants.O_RDONLY);
    try {
      const stats = await handle.stat({ bigint: true });
      if (!stats.isFile()) throw new OperationError("not_a_file", `This is not a file: ${path}`);
      await send(Channel.entry, new TextEncoder().encode(JSON.stringify(entryOf(path, stats))));

      const buffer = Buffer.allocUnsafe(maxDataBytes);
      let left = length ?? Number.POSITIVE_INFINITY;
      for (let at = offset; left > 0 && !signal.aborted;) {
        const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, left), at);
        if (bytesRead === 0) break;
        await send(Channel.body, buffer.subarray(0, bytesRead));
        at += bytesRead;
        left -= bytesRead;
      }
      return null;
    } catch (error) {
      throw operationErrorFrom(error, path);
    } finally {
      await handle.close();
    }
  };
