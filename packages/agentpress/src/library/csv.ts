import Papa from "papaparse";
import { HelperError } from "./helper-error.ts";

export type CsvRow = Record<string, string>;

export interface CsvTable {
  columns: string[];
  rows: CsvRow[];
}

export interface CsvCondition {
  column: string;
  is: "equal" | "not_equal" | "less" | "at_most" | "more" | "at_least" | "contains";
  value: string;
}

export interface CsvSummary {
  column: string;
  compute: "count" | "sum" | "mean" | "min" | "max";
}

export interface CsvQuery {
  where: readonly CsvCondition[];
  groupBy: readonly string[];
  summarise: readonly CsvSummary[];
  sortBy: string | null;
  descending: boolean;
  /** Null: all. */
  columns: readonly string[] | null;
  limit: number;
}

/**
 * Reads a CSV text with a line of headings. Everything is text.
 * @param delimiter null: found out
 * @throws HelperError a heading is missing or given twice
 */
export const parseCsv = (text: string, delimiter: string | null): CsvTable => {
  const { data } = Papa.parse<string[]>(text.replace(/^\uFEFF/, ""), {
    delimiter: delimiter ?? "",
    skipEmptyLines: true,
  });
  const [columns = [], ...lines] = data;
  if (columns.length === 0) throw new HelperError("There is no line with the names of the columns.");
  if (new Set(columns).size !== columns.length) throw new HelperError("Two columns have the same name.");
  // From entries: `__proto__` is a name like any other.
  const rows = lines.map((line) => Object.fromEntries(columns.map((column, at) => [column, line[at] ?? ""])));
  return { columns, rows };
};

/** Numbers by their value, everything else as text. */
const compare = (left: string, right: string): number => {
  const [one, other] = [Number(left), Number(right)];
  if (left.trim() !== "" && right.trim() !== "" && !Number.isNaN(one) && !Number.isNaN(other)) return one - other;
  return left < right ? -1 : Number(left > right);
};

const fits = (row: CsvRow, { column, is, value }: CsvCondition): boolean => {
  const cell = row[column] ?? "";
  switch (is) {
    case "equal":
      return compare(cell, value) === 0;
    case "not_equal":
      return compare(cell, value) !== 0;
    case "less":
      return compare(cell, value) < 0;
    case "at_most":
      return compare(cell, value) <= 0;
    case "more":
      return compare(cell, value) > 0;
    case "at_least":
      return compare(cell, value) >= 0;
    case "contains":
      return cell.toLowerCase().includes(value.toLowerCase());
  }
};

const nameOf = ({ compute, column }: CsvSummary): string => `${compute}_${column}`;

/** Empty cells do not count; one that is no number makes a sum and a mean empty, not wrong. */
const summaryOf = (rows: readonly CsvRow[], { column, compute }: CsvSummary): string => {
  const cells = rows.map((row) => row[column] ?? "").filter((cell) => cell.trim() !== "");
  if (compute === "count") return String(cells.length);
  if (cells.length === 0) return "";
  if (compute === "min" || compute === "max") {
    const sign = compute === "min" ? 1 : -1;
    return cells.reduce((best, cell) => (sign * compare(cell, best) < 0 ? cell : best));
  }
  const sum = cells.reduce((total, cell) => total + Number(cell), 0);
  if (Number.isNaN(sum)) return "";
  return String(compute === "sum" ? sum : sum / cells.length);
};

const grouped = (table: CsvTable, query: CsvQuery): CsvTable => {
  const groups = new Map<string, CsvRow[]>();
  for (const row of table.rows) {
    const key = JSON.stringify(query.groupBy.map((column) => row[column]));
    const members = groups.get(key);
    if (members) members.push(row);
    else groups.set(key, [row]);
  }
  const rows = [...groups.values()].map((members) => {
    const cells: [string, string][] = query.groupBy.map((column) => [column, members[0]?.[column] ?? ""]);
    for (const one of query.summarise) cells.push([nameOf(one), summaryOf(members, one)]);
    return Object.fromEntries(cells);
  });
  return { columns: [...query.groupBy, ...query.summarise.map(nameOf)], rows };
};

const mustHave = (columns: readonly string[], wanted: readonly string[]): void => {
  const missing = wanted.find((column) => !columns.includes(column));
  if (missing === undefined) return;
  throw new HelperError(`There is no column "${missing}". The columns are: ${columns.slice(0, 100).join(", ")}.`);
};

/** Filters, groups, sorts, and picks columns, in this order. @returns the rows within the limit, and how many there are */
export const queryCsv = (table: CsvTable, query: CsvQuery): CsvTable & { total: number } => {
  const asked = [...query.where, ...query.summarise].map((one) => one.column);
  mustHave(table.columns, [...asked, ...query.groupBy]);
  const filtered = { ...table, rows: table.rows.filter((row) => query.where.every((one) => fits(row, one))) };
  const { columns, rows } = query.summarise.length + query.groupBy.length > 0 ? grouped(filtered, query) : filtered;
  const picked = query.columns ?? columns;
  mustHave(columns, query.sortBy === null ? picked : [...picked, query.sortBy]);
  const { sortBy } = query;
  const sign = query.descending ? -1 : 1;
  const sorted =
    sortBy === null ? rows : rows.toSorted((left, right) => sign * compare(left[sortBy] ?? "", right[sortBy] ?? ""));
  const cut = sorted.slice(0, query.limit);
  return {
    columns: [...picked],
    rows: cut.map((row) => Object.fromEntries(picked.map((column) => [column, row[column] ?? ""]))),
    total: rows.length,
  };
};

/** The table as CSV. */
export const csvText = ({ columns, rows }: CsvTable): string =>
  Papa.unparse(
    { fields: columns, data: rows.map((row) => columns.map((column) => row[column] ?? "")) },
    { newline: "\n" },
  );
