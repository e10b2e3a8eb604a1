import type { SafeFetch } from "@cortex/egress";
import { readFileSync } from "node:fs";
import type { Host } from "./host.ts";
import type { Attack } from "./path-attacks.ts";

/** Addresses inside, as a page or a user may have told them to the model. The long list is the one of `packages/egress`. */
export const webAttacks = (host: Host): Attack[] =>
  [
    "http://127.0.0.1/",
    `http://127.0.0.1:${host.httpPort}/`,
    "http://localhost/",
    "http://LOCALHOST./",
    "http://worker.localhost/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://0.0.0.0/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://①②⑦.⓪.⓪.①/",
    "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://10.0.0.1/",
    "http://192.168.0.1/admin",
    "http://172.17.0.1:2375/containers/json",
    "http://user:password@127.0.0.1/",
    "http://example.com@127.0.0.1/",
    "http://127.0.0.1:6379/",
    "http://127.0.0.1:5432/",
    `file://${host.secret}`,
    `FILE:${host.secret}`,
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "ftp://127.0.0.1/",
  ].map((url) => ({ name: `fetch_page: ${url}`, turns: [[{ name: "fetch_page", args: { url } }]] }));

/** A client without a wall: files are read, and every other address is the host's own server. */
export const openFetch =
  (host: Host): SafeFetch =>
  async (url) => {
    const answer =
      new URL(url).protocol === "file:"
        ? new Response(readFileSync(new URL(url).pathname))
        : await fetch(`http://127.0.0.1:${host.httpPort}/?${encodeURIComponent(url)}`);
    const bytes = new Uint8Array(await answer.arrayBuffer());
    return {
      url,
      status: 200,
      headers: new Headers({ "content-type": "text/plain" }),
      body: new Blob([bytes]).stream(),
      bytes: async () => bytes,
    };
  };
