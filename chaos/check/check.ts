import { checkApprovals } from "./approvals.ts";
import { checkEffects } from "./effects.ts";
import { checkFence } from "./fence.ts";
import { checkFollowers } from "./followers.ts";
import type { History, Violation } from "./history.ts";
import { checkLogs } from "./logs.ts";
import { checkMessages } from "./messages.ts";
import { checkMoney } from "./money.ts";
import { checkEnds, checkLost } from "./runs.ts";
import { checkStops } from "./stops.ts";

/** Every broken promise of a history, by invariant. Pure: a kept history can be judged again. */
export const check = (history: History): Violation[] =>
  [
    checkLost,
    checkEnds,
    checkFence,
    checkMessages,
    checkLogs,
    checkFollowers,
    checkStops,
    checkEffects,
    checkApprovals,
    checkMoney,
  ].flatMap((one) => one(history));
