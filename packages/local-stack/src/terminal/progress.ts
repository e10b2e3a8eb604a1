import { duration, type Style } from "./style.ts";

/** What a start tells the person who waits: one line for each part, when it is up, with the time it took. */
export type Progress = {
  /** Runs `work`; its line shows what `work` says about the part. A failure shows no line: its sentence comes at the end. */
  part: <Result>(name: string, work: (detail: (text: string) => void) => Promise<Result>) => Promise<Result>;
  note: (line: string) => void;
};

export function createProgress(write: (text: string) => void, style: Style): Progress {
  return {
    part: async (name, work) => {
      const startedAt = performance.now();
      let detail = "";
      const result = await work((text) => (detail = text));
      const time = duration(performance.now() - startedAt);
      write(`  ${style.green("✓")} ${name.padEnd(12)} ${detail.padEnd(56)} ${style.dim(time.padStart(8))}\n`);
      return result;
    },
    note: (line) => write(`  ${style.dim(`· ${line}`)}\n`),
  };
}

/** For a start that nobody watches. */
export const silentProgress: Progress = { part: (_name, work) => work(() => {}), note: () => {} };
