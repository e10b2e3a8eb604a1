import { connect } from "node:net";
import { connect as connectTls } from "node:tls";

export type RedisTarget = { host: string; port: number; username?: string; password?: string; tls?: boolean };

export type RedisAnswer =
  /** nobody listens */
  | { kind: "silent" }
  /** something listens that is not Redis, or wants another password */
  | { kind: "stranger" }
  | { kind: "redis"; version: string; pid: number; dir: string; loading: boolean };

/** 2 s > the few milliseconds of a busy local Redis, and bounded when something else listens and never speaks. */
const ANSWER_TIMEOUT_MS = 2_000;

/** Asks whoever listens on host:port who they are, in three commands of the wire protocol; needs no client library. */
export function probeRedis(target: RedisTarget): Promise<RedisAnswer> {
  return new Promise((resolve) => {
    const { host, port } = target;
    const socket = target.tls === true ? connectTls({ host, port, servername: host }) : connect({ host, port });
    let text = "";
    const done = (answer: RedisAnswer): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => done({ kind: "stranger" }));
    socket.once("error", () => done(text === "" ? { kind: "silent" } : { kind: "stranger" }));
    socket.once("close", () => done({ kind: "stranger" }));
    socket.once(target.tls === true ? "secureConnect" : "connect", () => {
      const login =
        target.password === undefined ? [] : [["AUTH", ...(target.username ? [target.username] : []), target.password]];
      socket.write(
        [...login, ["INFO", "server"], ["CONFIG", "GET", "dir"], ["ECHO", "probe-end"]].map(encode).join(""),
      );
    });
    socket.on("data", (chunk) => {
      text += chunk.toString("utf8");
      if (/^-(NOAUTH|WRONGPASS)/m.test(text)) return done({ kind: "stranger" });
      if (text.includes("probe-end") || text.includes("-LOADING")) return done(understand(text));
      if (text.length > 100_000) done({ kind: "stranger" });
    });
  });
}

function encode(command: string[]): string {
  return `*${command.length}\r\n${command.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`;
}

function understand(text: string): RedisAnswer {
  const version = /(?:redis|valkey)_version:(\S+)/.exec(text)?.[1];
  const loading = text.includes("-LOADING");
  if (version === undefined && !loading) return { kind: "stranger" };
  const pid = Number(/process_id:(\d+)/.exec(text)?.[1] ?? 0);
  const dir = /\$3\r\ndir\r\n\$\d+\r\n([^\r]*)\r\n/.exec(text)?.[1] ?? "";
  return { kind: "redis", version: version ?? "", pid, dir, loading };
}
