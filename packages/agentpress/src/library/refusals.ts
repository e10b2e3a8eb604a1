import { ToolFailure } from "../errors.ts";
import { HelperError } from "./helper-error.ts";

/** Calls a helper; what it cannot work on is the tool's refusal. @throws ToolFailure */
export const refusing = <Value>(help: () => Value): Value => {
  try {
    return help();
  } catch (error) {
    if (error instanceof HelperError) throw new ToolFailure(error.message, { cause: error });
    throw error;
  }
};
