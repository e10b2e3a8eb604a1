import { z } from "zod";
import { type CsvTable, csvText, parseCsv, queryCsv } from "../library/csv.ts";
import { refusing } from "../library/refusals.ts";
import { readSource, sourceFields } from "../library/source.ts";
import { defineTool } from "../tool.ts";

const name = z.string().min(1).max(1_000);

const asJson = ({ columns, rows }: CsvTable): string =>
  `[${rows.map((row) => `\n  ${JSON.stringify(Object.fromEntries(columns.map((column) => [column, row[column]])))}`).join(",")}\n]`;

export const tool = defineTool({
  name: "query_csv",
  title: "Query CSV",
  description:
    "Reads CSV with a line of headings, filters, groups and summarises, sorts and picks columns, and answers as CSV or JSON. " +
    "Cells that are both numbers are compared as numbers. Without any condition it shows the first rows.",
  icon: "table",
  effect: "pure",
  schema: z.strictObject({
    ...sourceFields,
    delimiter: z.string().length(1).optional().describe("Default: found out."),
    where: z
      .array(
        z.strictObject({
          column: name,
          is: z.enum(["equal", "not_equal", "less", "at_most", "more", "at_least", "contains"]),
          value: z.string().max(10_000),
        }),
      )
      .max(20)
      .optional()
      .describe("Conditions; all must hold."),
    group_by: z.array(name).max(10).optional(),
    summarise: z
      .array(z.strictObject({ column: name, compute: z.enum(["count", "sum", "mean", "min", "max"]) }))
      .max(20)
      .optional()
      .describe("New columns, called sum_price and the like; of each group, or of all rows."),
    sort_by: name.optional(),
    descending: z.boolean().optional(),
    columns: z.array(name).min(1).max(200).optional().describe("Which to answer. Default: all."),
    limit: z.int().min(1).max(1_000).optional().describe("Rows at most. Default 50."),
    as: z.enum(["csv", "json"]).optional().describe("Default csv."),
  }),
  timeoutMs: 60_000,
  maxResultChars: 50_000,
  execute: async (args, context) => {
    const text = await readSource(args, context);
    const found = refusing(() =>
      queryCsv(parseCsv(text, args.delimiter ?? null), {
        where: args.where ?? [],
        groupBy: args.group_by ?? [],
        summarise: args.summarise ?? [],
        sortBy: args.sort_by ?? null,
        descending: args.descending ?? false,
        columns: args.columns ?? null,
        limit: args.limit ?? 50,
      }),
    );
    const rest = found.total - found.rows.length;
    const note = rest > 0 ? `\n[${rest} further rows]` : "";
    return `${args.as === "json" ? asJson(found) : csvText(found)}${note}`;
  },
});
