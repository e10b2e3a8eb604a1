import { SandboxError } from "../port/errors.ts";
import type { AgentLink } from "./agent-link.ts";
import type { RunningAgent } from "./running-agent.ts";

interface Start {
  agent: Promise<RunningAgent>;
  /** Which start this is, so that a handle can tell that the processes it knew are gone. */
  generation: number;
}

/**
 * The process of one sandbox, as this process of ours holds it: started by the first call that needs it, shared by all calls, stopped when
 * nobody has called for a while, started again by the next call.
 */
export class Machine {
  readonly #start: () => Promise<RunningAgent>;
  readonly #idleMs: number;
  /** Connections into it that are open. */
  readonly connections = { open: 0 };
  #running: Start | null = null;
  #starts = 0;
  #callsOpen = 0;
  #idle: NodeJS.Timeout | null = null;

  /** @param options.idleMs without a call for so long it is stopped; its files stay */
  constructor(options: { start: () => Promise<RunningAgent>; idleMs: number }) {
    this.#start = options.start;
    this.#idleMs = options.idleMs;
  }

  get isRunning(): boolean {
    return this.#running !== null;
  }

  /**
   * Does something on the running machine, starting it if need be. However many ask at once, it starts once; a start that failed is
   * tried again by the next call.
   * @throws SandboxError `sandbox_unavailable` if it cannot be started; what `work` throws
   */
  async use<Result>(work: (link: AgentLink, generation: number) => Promise<Result>): Promise<Result> {
    this.#callsOpen++;
    if (this.#idle !== null) clearTimeout(this.#idle);
    try {
      const { agent, generation } = this.#started();
      const { link } = await agent;
      return await work(link, generation);
    } finally {
      this.#callsOpen--;
      if (this.#callsOpen === 0) this.#waitForIdle();
    }
  }

  /**
   * Does something on the machine if it runs; that it is used this way neither starts it nor keeps it awake.
   * @throws SandboxError `sandbox_stopped` if it does not run
   */
  async visit<Result>(work: (link: AgentLink) => Promise<Result>): Promise<Result> {
    if (this.#running === null) throw new SandboxError("sandbox_stopped", "The sandbox is not running.");
    const { link } = await this.#running.agent;
    return work(link);
  }

  /** Ends the process and fails the calls that are open. The next call starts a new one. */
  async stop(): Promise<void> {
    if (this.#idle !== null) clearTimeout(this.#idle);
    const running = this.#running;
    if (running === null) return;
    try {
      await (await running.agent).stop();
    } catch (error) {
      // It never came up, and whoever started it was told.
      if (!(error instanceof SandboxError)) throw error;
    }
  }

  #started(): Start {
    if (this.#running !== null) return this.#running;
    const running: Start = { agent: this.#start(), generation: ++this.#starts };
    this.#running = running;
    const forget = (): void => {
      if (this.#running === running) this.#running = null;
    };
    running.agent.then(({ link, exited }) => {
      // A call that comes between the break and the exit must not meet the dead one.
      void link.broken.then(forget);
      void exited.then(forget);
    }, forget);
    return running;
  }

  #waitForIdle(): void {
    this.#idle = setTimeout(() => void this.stop(), this.#idleMs);
    // Being idle is no reason for our process to stay alive.
    this.#idle.unref();
  }
}
