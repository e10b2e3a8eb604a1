/** Elements within a line. Everything else is a block or holds blocks. */
const inlineNames: ReadonlySet<string> = new Set(
  (
    "A ABBR ACRONYM B BDI BDO BIG BR BUTTON CITE CODE DATA DEL DFN EM FONT I IMG INPUT INS KBD LABEL MARK METER NOBR OUTPUT PROGRESS Q RP RT " +
    "RUBY S SAMP SELECT SMALL SPAN STRIKE STRONG SUB SUP TIME TT U VAR WBR"
  ).split(" "),
);

/** Further down there is only text: beyond it a page is broken or hostile, and recursion needs an end. */
const maxDepth = 200;

/** Rows and columns of a table that is one; beyond it, and with a table in a cell, it arranges a page. */
const maxColumns = 50;

const isElement = (node: Node): node is Element => node.nodeType === 1;

const collapse = (text: string): string => text.replaceAll(/\s+/g, " ");

const childrenOf = function* (node: Node): Generator<Node> {
  for (let child = node.firstChild; child; child = child.nextSibling) yield child;
};

/** A tag that is written within a line and yet has blocks in it is a block itself. */
const isInline = (node: Node): boolean => {
  if (!isElement(node)) return true;
  if (!inlineNames.has(node.nodeName)) return false;
  if (node.nodeName === "A") return true;
  for (const child of childrenOf(node)) if (isElement(child) && !inlineNames.has(child.nodeName)) return false;
  return true;
};

const marked = (mark: string, text: string): string => {
  const inner = text.trim();
  if (inner === "") return text;
  return `${text.startsWith(" ") ? " " : ""}${mark}${inner}${mark}${text.endsWith(" ") ? " " : ""}`;
};

const inlineOf = (node: Node, depth: number): string => {
  if (node.nodeType === 3) return collapse(node.textContent ?? "");
  if (!isElement(node)) return "";
  if (depth > maxDepth) return collapse(node.textContent ?? "");
  switch (node.nodeName) {
    case "BR":
      return "\n";
    case "IMG": {
      // Never as a picture: whoever shows the text would fetch it, and tell its server something by that.
      const alt = collapse(node.getAttribute("alt") ?? "").trim();
      return alt === "" ? "" : `[image: ${alt}]`;
    }
    case "CODE":
    case "KBD":
    case "SAMP":
    case "TT":
      return marked("`", collapse(node.textContent ?? ""));
    default:
  }
  const parts: string[] = [];
  for (const child of childrenOf(node)) {
    const text = inlineOf(child, depth + 1);
    parts.push(isElement(child) && !inlineNames.has(child.nodeName) ? ` ${text} ` : text);
  }
  const text = parts.join("");
  switch (node.nodeName) {
    case "A": {
      const href = node.getAttribute("href");
      const label = collapse(text).trim();
      return href === null || label === "" ? text : `[${label}](${href.replaceAll("(", "%28").replaceAll(")", "%29")})`;
    }
    case "STRONG":
    case "B":
      return marked("**", text);
    case "EM":
    case "I":
      return marked("_", text);
    default:
      return text;
  }
};

/** A run of text as lines without spaces around them. */
const lineOf = (text: string): string =>
  text
    .replaceAll(/ {2,}/g, " ")
    .replaceAll(/ ?\n ?/g, "\n")
    .trim();

const indented = (text: string, first: string, rest: string): string =>
  text
    .split("\n")
    .map((line, at) => (at === 0 ? first + line : line === "" ? "" : rest + line))
    .join("\n");

const listOf = (list: Element, depth: number): string => {
  const items: string[] = [];
  for (const item of childrenOf(list)) {
    if (!isElement(item)) continue;
    const text = blocksOf(item, depth + 1).join("\n");
    const mark = list.nodeName === "OL" ? `${items.length + 1}. ` : "- ";
    if (text !== "") items.push(indented(text, mark, " ".repeat(mark.length)));
  }
  return items.join("\n");
};

const rowsOf = (table: Element): Element[][] =>
  [...table.querySelectorAll("tr")].map((row) =>
    [...childrenOf(row)].filter(isElement).filter(({ nodeName }) => nodeName === "TD" || nodeName === "TH"),
  );

/** As GitHub writes tables. The first row is the head, whether the page says so or not: markdown has no table without one. */
const tableOf = (table: Element, depth: number): string[] => {
  const rows = rowsOf(table).filter((row) => row.length > 0);
  const columns = Math.max(0, ...rows.map((row) => row.length));
  if (columns < 2 || columns > maxColumns || table.querySelector("table") !== null)
    return rows.flat().flatMap((cell) => blocksOf(cell, depth + 1));
  const written = rows.map((row) => {
    const cells = row.map((cell) =>
      collapse(inlineOf(cell, depth + 1))
        .trim()
        .replaceAll("|", "\\|"),
    );
    return `| ${[...cells, ...Array<string>(columns - cells.length).fill("")].join(" | ")} |`;
  });
  const [head = "", ...body] = written;
  const caption = [...childrenOf(table)].find(({ nodeName }) => nodeName === "CAPTION");
  const text = caption ? [lineOf(inlineOf(caption, depth + 1))] : [];
  return [...text, [head, `|${" --- |".repeat(columns)}`, ...body].join("\n")];
};

const blockOf = (element: Element, depth: number): string[] => {
  const heading = /^H([1-6])$/.exec(element.nodeName)?.[1];
  if (heading !== undefined) {
    const text = collapse(inlineOf(element, depth)).trim();
    return text === "" ? [] : [`${"#".repeat(Number(heading))} ${text}`];
  }
  switch (element.nodeName) {
    case "PRE": {
      const text = (element.textContent ?? "").replace(/^\n/, "").trimEnd();
      const fence = text.includes("```") ? "~~~~" : "```";
      return text === "" ? [] : [`${fence}\n${text}\n${fence}`];
    }
    case "UL":
    case "OL":
    case "MENU":
      return [listOf(element, depth)];
    case "BLOCKQUOTE": {
      const text = blocksOf(element, depth + 1).join("\n\n");
      return text === "" ? [] : [indented(text, "> ", "> ")];
    }
    case "TABLE":
      return tableOf(element, depth);
    case "HR":
      return ["---"];
    case "DT":
      return [marked("**", lineOf(inlineOf(element, depth)))];
    default:
      return blocksOf(element, depth + 1);
  }
};

const blocksOf = (node: Node, depth: number): string[] => {
  if (depth > maxDepth) return [lineOf(collapse(node.textContent ?? ""))].filter((text) => text !== "");
  const blocks: string[] = [];
  let line: string[] = [];
  const flush = () => {
    const text = lineOf(line.join(""));
    if (text !== "") blocks.push(text);
    line = [];
  };
  for (const child of childrenOf(node)) {
    if (isInline(child)) {
      line.push(inlineOf(child, depth + 1));
    } else if (isElement(child)) {
      flush();
      for (const block of blockOf(child, depth + 1)) if (block !== "") blocks.push(block);
    }
  }
  flush();
  return blocks;
};

/**
 * What stands in an element, as markdown for a reader who is a model: nothing is escaped, pictures are their descriptions, and nothing is left but text,
 * links, headings, lists, quotes, tables and code. Linear in the size of the page, but for quotes and lists within one another.
 */
export const markdownOf = (root: Element): string => blocksOf(root, 0).join("\n\n");
