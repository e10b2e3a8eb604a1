import { randomUUID } from "node:crypto";
import { Message, type MessagePart } from "@cortex/contracts";
import { asUser, type Database, openDatabase, type Tx } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import {
  aMember,
  aMessage,
  anAccount,
  aThread,
  aUser,
  createTestDatabase,
  type TestDatabase,
  type TestUser,
} from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { getMessage, listMessages, postMessage } from "./messages.ts";

let database: TestDatabase;
let api: Database;
let user: TestUser;
beforeAll(async () => {
  database = await createTestDatabase();
  api = openDatabase({ url: database.apiUrl, poolSize: 8, name: "test", log: silentLogger() });
  user = await aUser(database.owner);
});
afterAll(async () => {
  await api.close();
  await database.drop();
});

const as = <Result>(who: TestUser, work: (tx: Tx) => Promise<Result>) =>
  asUser(api.db, { userId: who.userId, accountId: null }, work);
const post = (threadId: string, content: string | MessagePart[]) =>
  as(user, (tx) => postMessage(tx, { threadId, content, metadata: {} }));
const list = (threadId: string, page: { limit: number; cursor?: string }) =>
  as(user, (tx) => listMessages(tx, { threadId, ...page }));
const text = (message: Message) => message.content.map((part) => (part.type === "text" ? part.text : part.type)).join();

test("a posted message is a user message of text or parts, and can be read again", async () => {
  const { threadId } = await aThread(database.owner, { accountId: user.accountId });
  const plain = await post(threadId, "Hello");
  expect(Message.parse(plain)).toEqual(plain);
  expect(plain).toMatchObject({ seq: 0, role: "user", status: "complete", run_id: null, thread_id: threadId });
  expect(plain?.content).toEqual([{ type: "text", text: "Hello" }]);

  const parts: MessagePart[] = [
    { type: "text", text: "Look \0 at \ud800 this" },
    { type: "file", name: "a.csv", path: "/workspace/a.csv", size: 3 },
  ];
  const rich = await post(threadId, parts);
  expect(rich).toMatchObject({ seq: 1, content: [{ text: "Look \ufffd at \ufffd this" }, parts[1]] });
  expect(await as(user, (tx) => getMessage(tx, { threadId, messageId: rich?.id ?? "" }))).toEqual(rich);
  expect(await as(user, (tx) => getMessage(tx, { threadId, messageId: randomUUID() }))).toBeNull();
});

test("messages posted at the same moment are numbered without gap or duplicate", async () => {
  const { threadId } = await aThread(database.owner, { accountId: user.accountId });
  await Promise.all(Array.from({ length: 20 }, (_, n) => post(threadId, `message ${n}`)));
  const listed = await list(threadId, { limit: 50 });
  expect(listed?.data.map(({ seq }) => seq)).toEqual(Array.from({ length: 20 }, (_, n) => n));
  expect(new Set(listed?.data.map(text)).size).toBe(20);
});

test("a thread is read oldest first, page by page, while it grows", async () => {
  const { threadId } = await aThread(database.owner, { accountId: user.accountId });
  for (let n = 0; n < 5; n++) await aMessage(database.owner, { threadId, text: String(n) });
  const seen: string[] = [];
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof listMessages>> = await list(threadId, {
      limit: 2,
      ...(cursor === null ? {} : { cursor }),
    });
    seen.push(...(page?.data ?? []).map(text));
    cursor = page?.next_cursor ?? null;
    if (seen.length === 2) await post(threadId, "5");
  } while (cursor !== null);
  expect(seen).toEqual(["0", "1", "2", "3", "4", "5"]);
});

test("an empty thread has no messages, a missing one no list", async () => {
  const { threadId } = await aThread(database.owner, { accountId: user.accountId });
  expect(await list(threadId, { limit: 10 })).toEqual({ data: [], next_cursor: null });
  expect(await list(randomUUID(), { limit: 10 })).toBeNull();
});

test.for([
  "",
  "seq 1",
  Buffer.from("seq -1").toString("base64url"),
  Buffer.from("seq 9999999999").toString("base64url"),
])("'%s' is no cursor", async (cursor) => {
  const { threadId } = await aThread(database.owner, { accountId: user.accountId });
  await expect(list(threadId, { limit: 10, cursor })).rejects.toThrow(
    expect.objectContaining({ code: "invalid_cursor" }),
  );
});

test("tool calls and results are listed as they are stored", async () => {
  const { threadId } = await aThread(database.owner, { accountId: user.accountId });
  const call = { id: "call_1", name: "calculator", arguments: { expression: "5 + 10" } };
  await aMessage(database.owner, { threadId, role: "assistant", text: "", toolCalls: [call] });
  await aMessage(database.owner, { threadId, role: "tool", text: "15", toolCallId: "call_1" });
  const listed = await list(threadId, { limit: 10 });
  expect(listed?.data.map((message) => Message.parse(message))).toEqual(listed?.data);
  expect(listed?.data).toMatchObject([{ tool_calls: [call] }, { role: "tool", tool_call_id: "call_1" }]);
  expect(listed?.data[1]).not.toHaveProperty("tool_calls");
});

test("a thread of another account, or of a deleted project, is missing", async () => {
  const foreign = await aThread(database.owner);
  const orphan = await aThread(database.owner, { accountId: user.accountId });
  await database.owner.query("update cortex.projects set deleted_at = now() where id = $1", [orphan.projectId]);
  for (const { threadId } of [foreign, orphan]) {
    const { messageId } = await aMessage(database.owner, { threadId });
    expect(await post(threadId, "Hello")).toBeNull();
    expect(await list(threadId, { limit: 10 })).toBeNull();
    expect(await as(user, (tx) => getMessage(tx, { threadId, messageId }))).toBeNull();
    const { rows } = await database.owner.query("select seq from cortex.messages where thread_id = $1", [threadId]);
    expect(rows).toEqual([{ seq: 0 }]);
  }
});

test("a message is found in its own thread only", async () => {
  const [one, other] = await Promise.all([
    aThread(database.owner, { accountId: user.accountId }),
    aThread(database.owner, { accountId: user.accountId }),
  ]);
  const { messageId } = await aMessage(database.owner, { threadId: one.threadId });
  expect(await as(user, (tx) => getMessage(tx, { threadId: other.threadId, messageId }))).toBeNull();
});

test("a viewer reads and posts nothing", async () => {
  const { accountId } = await anAccount(database.owner);
  await aMember(database.owner, { accountId, userId: user.userId, role: "viewer" });
  const { threadId } = await aThread(database.owner, { accountId });
  await aMessage(database.owner, { threadId, text: "Ours" });
  expect((await list(threadId, { limit: 10 }))?.data.map(text)).toEqual(["Ours"]);
  await expect(post(threadId, "No")).rejects.toThrow(expect.objectContaining({ code: "forbidden" }));
});
