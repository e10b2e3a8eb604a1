import { randomUUID } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import { env } from "node:process";
import { silentLogger } from "@cortex/observability";
import type { OpenSandbox } from "@cortex/sandbox/port";
import { createTestSandboxes, eventually, refusalOf } from "@cortex/testing";
import { expect, test } from "vitest";
import { createRunBrowser } from "./run-browser.ts";
import { sandboxBrowser } from "./sandbox-browser.ts";
import { withChromium } from "./testing/with-chromium.ts";

const provider = await createTestSandboxes();
const log = silentLogger();
const { signal } = new AbortController();

const aSandbox = async () => {
  const ref = await provider.create({ id: randomUUID(), labels: {} });
  return provider.open(ref);
};

/** For whoever wants to look at it. */
const keep = async (name: string, { bytes }: { bytes: Uint8Array }): Promise<void> => {
  if (env["KEEP_SCREENSHOTS"] !== undefined) await writeFile(join(env["KEEP_SCREENSHOTS"], name), bytes);
};

/** The element of a snapshot that has this role and name. */
const refOf = (snapshot: string, what: string): string => {
  const line = snapshot.split("\n").find((candidate) => candidate.includes(what));
  const [, ref] = /\[ref=(\w+)\]/.exec(line ?? "") ?? [];
  if (ref === undefined) throw new Error(`no ${what} in\n${snapshot}`);
  return ref;
};

test("an agent looks at what it has built in its sandbox", { timeout: 120_000 }, async (context) => {
  withChromium(context);
  const sandbox = await aSandbox();
  if (!sandbox.capabilities.preview) return context.skip("CORTEX_SANDBOX=virtual: no programs in sandboxes");
  // The sandbox may have a Node that is older than ours.
  const source = await readFile(join(import.meta.dirname, "testing/site.ts"), "utf8");
  await sandbox.files.write("site.mjs", stripTypeScriptTypes(source));
  await sandbox.exec({ command: "node site.mjs > site.log 2>&1 &" });
  await eventually(() => sandbox.files.stat("port"));
  const site = `http://localhost:${Buffer.from(await sandbox.files.read("port")).toString()}`;
  const browser = createRunBrowser(
    { launch: sandboxBrowser(async () => sandbox), log },
    { actMs: 4_000, hangMs: 2_000 },
  );

  // Nothing has started, and nothing is open.
  expect(await refusalOf(browser.extract({ what: "text", offset: 0, maxChars: 10 }, signal))).toBe(
    "conflict: No page is open in the browser. Begin with browser_navigate.",
  );

  // What is seen.
  let page = await browser.navigate(`${site}/`, signal);
  expect(page).toMatchObject({ url: `${site}/`, title: "Shop" });
  expect(page.snapshot).toContain('heading "Fruit"');
  expect(page.notes.join()).toContain("no fruit today");

  await keep("view.png", await browser.screenshot({ type: "png", fullPage: false }, signal));

  // What is done.
  page = await browser.act({ kind: "click", ref: refOf(page.snapshot, 'button "Press me"') }, signal);
  expect(page.snapshot).toContain("pressed 1");
  const ask = refOf(page.snapshot, 'button "Ask"');
  expect((await browser.act({ kind: "click", ref: ask }, signal)).notes.join()).toContain("Are you there?");
  page = await browser.act({ kind: "scroll", ref: null, direction: "down" }, signal);
  const picked = await browser.act(
    { kind: "select", ref: refOf(page.snapshot, "combobox"), values: ["Banana"] },
    signal,
  );
  const name = refOf(picked.snapshot, "textbox");
  expect(await refusalOf(browser.act({ kind: "click", ref: "e99999" }, signal))).toMatch(/^not_found: click of e99999/);
  expect(await refusalOf(browser.act({ kind: "click", ref: "e1 >> x" }, signal))).toMatch(/^validation_failed/);
  expect(await refusalOf(browser.act({ kind: "press", ref: null, key: "NoSuchKey" }, signal))).toMatch(
    /^validation_failed/,
  );

  // What is kept: a picture of what is in view, and one of the whole page.
  const shot = await browser.screenshot({ type: "png", fullPage: false }, signal);
  const whole = await browser.screenshot({ type: "jpeg", fullPage: true }, signal);
  const size = (png: Uint8Array) => [16, 20].map((at) => new DataView(png.buffer, png.byteOffset).getUint32(at));
  expect(size(shot.bytes)).toEqual([1280, 800]);
  expect(Buffer.from(whole.bytes.subarray(0, 3)).toString("hex")).toBe("ffd8ff");
  const text = await browser.extract({ what: "text", offset: 0, maxChars: 12 }, signal);
  expect(text.text).toHaveLength(12);
  expect(text.rest).toBeGreaterThan(20);
  expect((await browser.extract({ what: "links", offset: 0, maxChars: 500 }, signal)).text).toContain(
    `Next page <${site}/second>`,
  );

  // A page is left although it asks to be stayed on.
  page = await browser.act({ kind: "type", ref: name, text: "Ada", submit: true }, signal);
  expect(page).toMatchObject({ title: "Order" });
  expect(page.snapshot).toContain("Ada takes b");
  page = await browser.act({ kind: "back" }, signal);
  expect(page.title).toBe("Shop");

  // What is refused, and said.
  page = await browser.act({ kind: "click", ref: refOf(page.snapshot, "Get the file") }, signal);
  await eventually(async () => {
    const { notes } = await browser.extract({ what: "text", offset: 0, maxChars: 1 }, signal);
    return [...page.notes, ...notes].join().includes("A download was refused: fruit.zip");
  });
  for (const address of [
    "chrome://version",
    "data:text/html,x",
    "javascript:alert(1)",
    "view-source:http://localhost/",
  ]) {
    expect(await refusalOf(browser.navigate(address, signal))).toMatch(/^validation_failed: Only http/);
  }
  expect(await refusalOf(browser.navigate("localhost", signal))).toMatch(/^validation_failed: This is not a complete/);
  expect(await refusalOf(browser.navigate("http://example.com/", signal))).toMatch(
    /^conflict: .*ERR_.*The sandbox has no network/,
  );
  expect(await refusalOf(browser.navigate("http://localhost:1/", signal))).toMatch(/^conflict: .*could not be opened/);

  // Pages that open others are bounded.
  page = await browser.navigate(`${site}/many`, signal);
  await eventually(async () => {
    page = await browser.act({ kind: "click", ref: refOf(page.snapshot, "Open one more") }, signal);
    return page.notes.join().includes("4 are open already");
  });

  page = await browser.navigate(`${site}/emptied`, signal);
  page = await browser.act({ kind: "click", ref: refOf(page.snapshot, "Empty it") }, signal);
  expect(page.snapshot).toBe("[the page is empty]");

  // Too much of a page is cut; a page that hangs is given up.
  page = await browser.navigate(`${site}/long`, signal);
  expect(page.snapshot.length).toBeLessThan(21_000);
  page = await browser.navigate(`${site}/hang`, signal);
  const hanging = browser.act({ kind: "click", ref: refOf(page.snapshot, "Stop the world") }, signal);
  expect(await refusalOf(hanging)).toMatch(/^unavailable/);

  // An abort ends the wait and nothing else.
  const abort = new AbortController();
  const aborted = refusalOf(browser.navigate(`${site}/`, abort.signal));
  abort.abort(new Error("stopped"));
  expect(await aborted).toBe("stopped");
  expect((await browser.navigate(`${site}/second`, signal)).title).toBe("Second");

  // Its death is noticed and said, and a browser that is gone leaves nothing.
  const left = async () => (await sandbox.exec({ command: "pgrep -c chrom; ls /tmp" })).stdout;
  expect(await left()).toMatch(/^[1-9]\d*\nbrowser-/);
  await sandbox.exec({ command: "kill -9 $(pgrep -o chrom)" });
  await eventually(async () =>
    (await refusalOf(browser.act({ kind: "back" }, signal))).startsWith("conflict: The browser ended by itself"),
  );
  await eventually(async () => (await left()) === "0\n");
  await browser.close();
  expect(await refusalOf(browser.navigate(site, signal))).toBe("conflict: The run is over.");
  expect(sandbox.takeNotices()).toEqual([]);
});

test("where there can be no browser, that is what is said", async () => {
  const openSandbox: OpenSandbox = async () => {
    const sandbox = await aSandbox();
    const capabilities = { ...sandbox.capabilities, processes: false, preview: false };
    return Object.assign(sandbox, { capabilities });
  };
  const browser = createRunBrowser({ launch: sandboxBrowser(openSandbox), log });
  expect(await refusalOf(browser.navigate("http://localhost:3000/", signal))).toMatch(
    /^conflict: A \w+ sandbox runs no programs, so there is no browser in it\.$/,
  );
  await browser.close();
});
