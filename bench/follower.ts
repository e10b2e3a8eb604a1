/** What one follower saw of one run. Times are milliseconds since `startedAt`. */
export interface Followed {
  /** Until the answer to the start request. */
  startMs: number;
  /** Until the first streamed text. */
  firstTextMs: number;
  /** Until the terminal event. */
  endMs: number;
  /** The concatenated deltas. */
  text: string;
  events: number;
}

/** How to start a run and where to follow it; the same follower serves Cortex and the floor. */
export interface Target {
  name: string;
  /** Makes ready for so many starts what a start needs and is not part of it. */
  prepare(count: number): Promise<void>;
  start(prompt: string): Promise<string>;
  follow(runId: string): Promise<Response>;
}

/** Starts a run and follows it to its end over real HTTP. Throws if it does not complete. */
export const followOne = async (target: Target, prompt: string): Promise<Followed> => {
  const startedAt = performance.now();
  const since = () => performance.now() - startedAt;
  const runId = await target.start(prompt);
  const startMs = since();
  const response = await target.follow(runId);
  if (!response.ok || !response.body) throw new Error(`${target.name}: the stream answered ${response.status}`);
  const followed: Followed = { startMs, firstTextMs: 0, endMs: 0, text: "", events: 0 };
  const decoder = new TextDecoder();
  let rest = "";
  for await (const part of response.body) {
    rest += decoder.decode(part, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (!line.startsWith('data: {"type"')) continue;
      const event = JSON.parse(line.slice(6)) as { type: string; text?: string; error?: unknown };
      followed.events += 1;
      if (event.type === "message.delta") {
        if (followed.text === "") followed.firstTextMs = since();
        followed.text += event.text ?? "";
      }
      if (event.type === "run.completed") followed.endMs = since();
      if (event.type === "run.failed") throw new Error(`${target.name}: the run failed: ${line}`);
    }
  }
  if (followed.endMs === 0) throw new Error(`${target.name}: the stream ended before the run`);
  return followed;
};
