import { AppError } from "@cortex/contracts";

const oneLine = (text: string): string =>
  text
    // oxlint-disable-next-line no-control-regex -- the library colours its messages for a terminal
    .replaceAll(/\u001b\[[\d;]*m/g, "")
    .split(/\n\s*Call log:/)[0]
    ?.replaceAll(/\s+/g, " ")
    .slice(0, 500) ?? "";

/** It has waited for an element and done nothing, or has begun. */
const hasActed = (message: string): boolean => /performing \w+ action|elementHandle\.\w+: done/i.test(message);

const isTimeout = (error: Error): boolean => error.name === "TimeoutError";

/** Where there is no network, these are what is said of it. */
const isAway = /NAME_NOT_RESOLVED|INTERNET_DISCONNECTED|ADDRESS_UNREACHABLE|NETWORK_/;

const netError = /net::(ERR_[A-Z0-9_]+)/;

/** What the library said when an address was opened. */
export const navigationError = (error: unknown, url: string, networkNote: string): AppError => {
  const message = error instanceof Error ? error.message : String(error);
  const [, code] = netError.exec(message) ?? [];
  if (code !== undefined) {
    const note = isAway.test(code) ? networkNote : "";
    return new AppError("conflict", `${url} could not be opened (${code}).${note}`, {}, { cause: error });
  }
  if (error instanceof Error && isTimeout(error)) {
    return new AppError("unavailable", `${url} did not answer in time.`, {}, { cause: error });
  }
  if (/Download is starting/.test(message)) {
    return new AppError("conflict", `${url} is a download, which is refused here.`, {}, { cause: error });
  }
  return new AppError("unavailable", `${url} could not be opened: ${oneLine(message)}`, {}, { cause: error });
};

/** What the library said when something was done to an element. */
export const actionError = (error: unknown, what: string): AppError => {
  const message = error instanceof Error ? error.message : String(error);
  const cause = { cause: error };
  if (error instanceof Error && isTimeout(error) && !hasActed(message)) {
    const hint = "It may be gone, hidden or covered: take a snapshot (browser_extract) and use the refs of that one.";
    return new AppError("not_found", `${what} could not be reached in time. ${hint}`, {}, cause);
  }
  if (
    /Unknown key|not an? <?(input|select)|did not find some options|Element is not|Unexpected token|No frame for/i.test(
      message,
    )
  ) {
    return new AppError("validation_failed", `${what}: ${oneLine(message)}`, {}, cause);
  }
  return new AppError("unavailable", `${what}: ${oneLine(message)}`, {}, cause);
};
