import type { Page } from "@cortex/contracts";

/**
 * Every item of a list, page by page, asked for as it is needed:
 * `for await (const run of everyItem((cursor) => client.listRuns({ cursor })))`
 */
export async function* everyItem<Item>(
  list: (cursor: string | null) => Promise<Page<Item>>,
): AsyncGenerator<Item, void, void> {
  let cursor: string | null = null;
  do {
    const page: Page<Item> = await list(cursor);
    yield* page.data;
    cursor = page.next_cursor;
  } while (cursor !== null);
}
