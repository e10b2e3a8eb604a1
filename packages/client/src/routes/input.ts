/** What may be given for a schema of the contract: ids as plain strings, and what has a default may be left out. */
export type InputOf<Schema extends { _zod: { input: unknown } }> = Schema["_zod"]["input"];

/** Which part of a list. */
export interface PageQuery {
  /** 1 to 200; without it 50. */
  limit?: number | undefined;
  /** `next_cursor` of the page before. */
  cursor?: string | null | undefined;
}
