import { createHash } from "node:crypto";

/** A range of uids on this machine: from `first`, `count` of them. */
export interface UidRange {
  first: number;
  count: number;
}

/**
 * Uids that nothing else hands out: above those of users, of `/etc/subuid` (up to 600,100,000) and of systemd's containers (up to
 * 1,879,048,191), below systemd's foreign ids (from 2,147,352,576) and below 2^31, which old tools read as negative.
 */
const preferred: UidRange = { first: 1_900_000_000, count: 200_000_000 };
/** For a container that maps only the usual 65,536 uids: above its users, below systemd's dynamic ones (61,184). */
const small: UidRange = { first: 20_000, count: 40_000 };

/**
 * The uids that sandboxes get when we are root: each its own, never 0, so that a process that breaks out of its namespaces still owns
 * nothing but its own workspace.
 * @param uidMap the text of /proc/self/uid_map: lines of `inside outside count`
 * @returns null if this user namespace has no room for them
 */
export const chooseUidRange = (uidMap: string): UidRange | null => {
  const mapped = uidMap
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number))
    .map(([first = 0, , count = 0]) => ({ first, count }));
  const fits = (range: UidRange) =>
    mapped.some((part) => part.first <= range.first && range.first + range.count <= part.first + part.count);
  return [preferred, small].find(fits) ?? null;
};

/**
 * The uid of a sandbox: the same on every machine and after every restart, without anybody writing it down. Two sandboxes may share one
 * (once in millions); they still see nothing of each other, because their namespaces are the first wall and this is the second.
 */
export const hostUidOf = (range: UidRange, id: string): number =>
  range.first + (createHash("sha256").update(id).digest().readUInt32BE(0) % range.count);
