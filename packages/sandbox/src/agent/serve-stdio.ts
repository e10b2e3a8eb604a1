import { type Handler, serveCalls } from "./calls.ts";
import { emptyFrame, FrameReader, FrameType } from "./frames.ts";

/**
 * Serves calls over stdin and stdout until stdin ends, which means that the host has gone: then this process has no reason to live.
 * Nothing else may print to stdout.
 */
export const serveStdio = (handlers: Readonly<Record<string, Handler>>): void => {
  const write = (bytes: Uint8Array) => void process.stdout.write(bytes);
  const serve = serveCalls({ handlers, write });
  const reader = new FrameReader();
  process.stdin.on("data", (chunk: Buffer) => {
    for (const frame of reader.push(chunk)) serve(frame);
  });
  for (const event of ["end", "close", "error"]) process.stdin.on(event, () => process.exit(0));
  process.stdout.on("error", () => process.exit(0));
  write(emptyFrame(FrameType.ready, 0));
};
