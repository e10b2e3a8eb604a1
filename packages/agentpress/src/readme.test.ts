import { execFile } from "node:child_process";
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { createTestFolder, startDemoModel } from "@cortex/testing";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../../..");

test("the example of the README runs as it stands there", async () => {
  const readme = readFileSync(resolve(import.meta.dirname, "../README.md"), "utf8");
  const [, code = ""] = /```ts\n([\s\S]*?)```/.exec(readme) ?? [];
  const folder = createTestFolder();
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  writeFileSync(join(folder, "example.ts"), code);
  const model = await startDemoModel({ port: 0 });
  try {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["example.ts", '[[tool=weather {"city":"Paris"}]] [[say=It is sunny.]]'],
      { cwd: folder, env: { PATH: "", MODEL_BASE_URL: model.url, MODEL_API_KEY: "none", MODEL: "demo" } },
    );
    expect(stdout).toContain("[weather] Sunny in Paris, 21 °C.");
    expect(stdout).toContain("It is sunny.");
    expect(stdout).toMatch(/\ncompleted, \d+ tokens out, \$0\.\d+\n$/);
  } finally {
    await model.close();
  }
});
