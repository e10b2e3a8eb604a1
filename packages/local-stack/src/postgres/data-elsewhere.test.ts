import { existsSync, mkdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createTestFolder } from "@cortex/testing";
import { expect, test } from "vitest";
import { sweepAbandoned } from "./data-elsewhere.ts";

/** A cluster elsewhere, and the home that links to it. */
function moved(more: { device?: number } = {}): { place: string; folder: string; home: string; link: string } {
  const place = createTestFolder();
  const folder = join(place, "cortex-postgres-data-abc");
  const home = join(createTestFolder(), "home");
  const link = join(home, "postgres");
  mkdirSync(join(folder, "data"), { recursive: true });
  mkdirSync(home);
  symlinkSync(join(folder, "data"), link);
  writeFileSync(join(folder, "home.json"), JSON.stringify({ link, device: more.device ?? statSync(home).dev }));
  return { place, folder, home, link };
}

test("a cluster whose home was removed goes", () => {
  const { place, folder, home } = moved();
  rmSync(home, { recursive: true });
  sweepAbandoned(place);
  expect(existsSync(folder)).toBe(false);
});

test("a cluster whose home has another one now goes", () => {
  const { place, folder, link } = moved();
  rmSync(link);
  mkdirSync(link);
  sweepAbandoned(place);
  expect(existsSync(folder)).toBe(false);
});

test("a cluster that is linked to stays", () => {
  const { place, folder } = moved();
  sweepAbandoned(place);
  expect(existsSync(folder)).toBe(true);
});

test("a cluster whose home is on a disk that is not mounted now stays", () => {
  const { place, folder, home } = moved({ device: 1 });
  rmSync(home, { recursive: true });
  sweepAbandoned(place);
  expect(existsSync(folder)).toBe(true);
});

test("a cluster in use stays, and so does what is not ours", () => {
  const { place, folder, home } = moved();
  rmSync(home, { recursive: true });
  writeFileSync(join(folder, "data/postmaster.pid"), "1");
  const other = join(place, "cortex-postgres-data-without-a-note");
  mkdirSync(other);
  sweepAbandoned(place);
  expect([existsSync(folder), existsSync(other)]).toEqual([true, true]);
});
