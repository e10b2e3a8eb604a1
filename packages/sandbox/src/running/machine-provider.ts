import type { Logger } from "@cortex/observability";
import { SandboxError } from "../port/errors.ts";
import type { SandboxProvider, SandboxRef, SandboxState } from "../port/provider.ts";
import type { Sandbox, SandboxCapabilities, SandboxNotice } from "../port/sandbox.ts";
import type { LinkOptions } from "./agent-link.ts";
import { endHolders, isHeld, registerHolder } from "./holders.ts";
import { Machine } from "./machine.ts";
import { MachineHandle } from "./machine-handle.ts";
import { type AgentCommand, type RunningAgent, startAgent } from "./running-agent.ts";
import type { SandboxFolder, SandboxHome } from "./sandbox-home.ts";

export interface MachineProviderOptions {
  name: "local" | "virtual";
  capabilities: SandboxCapabilities;
  home: SandboxHome;
  /** The uid on this machine that a sandbox's files belong to; null for our own. */
  ownerOf: (id: string) => number | null;
  /** How to start the process of a sandbox; may put its folder in order before. */
  command: (folder: SandboxFolder) => Promise<AgentCommand>;
  link: LinkOptions;
  /** What a handle does differently here. */
  refine?: (handle: Sandbox, machine: Machine) => Sandbox;
  /** Milliseconds without a call after which the process is stopped. */
  idleMs: number;
  log: Logger;
}

/** A provider whose sandboxes are processes on this machine, over folders on this machine. */
export class MachineProvider implements SandboxProvider {
  readonly name: "local" | "virtual";
  readonly capabilities: SandboxCapabilities;
  /** A few folders on a local disk. */
  readonly createTimeoutMs = 5_000;
  readonly #options: MachineProviderOptions;
  readonly #machines = new Map<string, Machine>();
  #closed = false;

  constructor(options: MachineProviderOptions) {
    this.name = options.name;
    this.capabilities = options.capabilities;
    this.#options = options;
  }

  async create(input: { id: string; labels: Readonly<Record<string, string>> }): Promise<SandboxRef> {
    const { home, ownerOf } = this.#options;
    await home.create(input.id, input.labels, ownerOf(input.id));
    return { id: input.id, externalId: input.id };
  }

  open(ref: SandboxRef, notices: readonly SandboxNotice[] = []): Sandbox {
    const machine = this.#machine(ref.id);
    const handle = new MachineHandle({
      id: ref.id,
      provider: this.name,
      capabilities: this.capabilities,
      machine,
      notices,
      timeoutGraceMs: this.#options.link.cancelGraceMs,
    });
    return this.#options.refine?.(handle, machine) ?? handle;
  }

  async resume(ref: SandboxRef): Promise<void> {
    await this.#machine(ref.id).use(() => Promise.resolve());
  }

  async stop(ref: SandboxRef): Promise<void> {
    await this.#machines.get(ref.id)?.stop();
    await endHolders(this.#options.home.folder(ref.id).holders);
  }

  async delete(ref: SandboxRef): Promise<void> {
    const { home } = this.#options;
    // First out of sight, so that nobody starts it again, then its processes, then its files.
    const folder = await home.takeAway(ref.id);
    await this.#machines.get(ref.id)?.stop();
    this.#machines.delete(ref.id);
    if (folder === null) return;
    await endHolders(folder.holders);
    await home.removeTakenAway(folder);
  }

  state(ref: SandboxRef): Promise<SandboxState> {
    return Promise.resolve(this.#stateOf(this.#options.home.folder(ref.id)));
  }

  async *list(): AsyncGenerator<SandboxRef & { state: SandboxState; labels: Record<string, string> }> {
    for await (const { folder, labels } of this.#options.home.list()) {
      yield { id: folder.id, externalId: folder.id, state: this.#stateOf(folder), labels };
    }
  }

  /** Removes what deletions left behind that a crash interrupted. */
  async removeLeftovers(): Promise<void> {
    const { home } = this.#options;
    for await (const folder of home.takenAway()) {
      await endHolders(folder.holders);
      await home.removeTakenAway(folder);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#machines.values()].map((machine) => machine.stop()));
  }

  #stateOf(folder: SandboxFolder): SandboxState {
    if (!this.#options.home.exists(folder)) return "gone";
    return isHeld(folder.holders) ? "started" : "stopped";
  }

  #machine(id: string): Machine {
    const known = this.#machines.get(id);
    if (known !== undefined) return known;
    const machine = new Machine({ start: () => this.#start(id), idleMs: this.#options.idleMs });
    this.#machines.set(id, machine);
    return machine;
  }

  async #start(id: string): Promise<RunningAgent> {
    const { home, command, link, log } = this.#options;
    if (this.#closed) throw new SandboxError("sandbox_unavailable", "This process is shutting down.");
    const folder = home.folder(id);
    const gone = () => new SandboxError("sandbox_gone", "The sandbox has been deleted.");
    if (!home.exists(folder)) throw gone();

    const startedAt = performance.now();
    const agent = await startAgent(await command(folder), link);
    try {
      const crossOut = registerHolder(folder.holders, agent.pid);
      void agent.exited.then(() => {
        crossOut();
        log.debug({ sandbox_id: id, process_id: agent.pid }, "sandbox process ended");
      });
    } catch (error) {
      // Deleted while it started: nobody would ever end it.
      await agent.stop();
      if (!home.exists(folder)) throw gone();
      throw error;
    }
    if (this.#closed) {
      await agent.stop();
      throw new SandboxError("sandbox_unavailable", "This process is shutting down.");
    }
    log.info(
      {
        sandbox_id: id,
        provider: this.name,
        process_id: agent.pid,
        start_ms: Math.round(performance.now() - startedAt),
      },
      "sandbox process started",
    );
    return agent;
  }
}
