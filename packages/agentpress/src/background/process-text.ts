import { outputPlace, type ProcessReport } from "./processes.ts";

/** How it stands with a process, for the model. */
export const stateText = ({ state, lives }: Pick<ProcessReport, "state" | "lives">): string => {
  if (state === "running") return "running";
  if (state === "lost") return "gone (the sandbox was restarted, or something killed it)";
  return lives ? `exited with code ${state}; processes that it started still run` : `exited with code ${state}`;
};

/** A report, for the model: one line about its state, then its new output. */
export const reportText = (report: ProcessReport): string => {
  const lines = [`[process ${report.id}: ${stateText(report)}]`];
  if (report.leftOut > 0) {
    lines.push(`[… ${report.leftOut} bytes left out; the newest 1 to 2 MB are in ${outputPlace(report.id)} …]`);
  }
  lines.push(report.output === "" ? "[no new output]" : report.output.trimEnd());
  return lines.join("\n");
};
