import { parseSync } from "oxc-parser";

/**
 * Every module a source file names: `import`, `import type`, `export … from` and `import("literal")`. Imports of types count,
 * because a room that must not see another must not know its shapes either. A computed `import(path)` has no name to check.
 * Throws on a file that does not parse.
 */
export function sourceImports(path: string, source: string): string[] {
  const { module, errors } = parseSync(path, source);
  const fault = errors[0];
  if (fault !== undefined) throw new Error(`${path} does not parse: ${fault.message}`);
  return [
    ...module.staticImports.map((statement) => statement.moduleRequest.value),
    ...module.staticExports.flatMap((statement) =>
      statement.entries.flatMap(({ moduleRequest }) => (moduleRequest === null ? [] : [moduleRequest.value])),
    ),
    ...module.dynamicImports.flatMap(({ moduleRequest }) => {
      const literal = /^(["'`])([^$]*)\1$/.exec(source.slice(moduleRequest.start, moduleRequest.end))?.[2];
      return literal === undefined ? [] : [literal];
    }),
  ];
}
