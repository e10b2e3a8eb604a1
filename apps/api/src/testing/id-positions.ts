import type { ApiUnderTest } from "./api-under-test.ts";

/** A place in a request where the published description wants an id. */
export interface IdPosition {
  /** As in the table of routes: `GET /threads/:thread_id`. */
  route: string;
  where: "path" | "query" | "json" | "form";
  name: string;
}

interface Schema {
  $ref?: string;
  format?: string;
  properties?: Record<string, Schema>;
}
interface Operation {
  parameters?: { in?: string; name?: string; schema?: Schema }[];
  requestBody?: { content: Record<string, { schema: Schema }> };
}
interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

const isId = (schema: Schema | undefined): boolean => schema?.format === "uuid";

/** Every id position of every route, from the document that the API serves: a new one is in the tests without being added to them. */
export const idPositions = async (api: ApiUnderTest): Promise<IdPosition[]> => {
  const document = (await api.call("GET", "/openapi.json")).body as Document;
  const resolved = (schema: Schema): Schema =>
    schema.$ref === undefined ? schema : (document.components.schemas[schema.$ref.split("/").at(-1) ?? ""] ?? {});
  return Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).flatMap(([method, { parameters = [], requestBody }]) => {
      const route = `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`;
      const named = parameters.flatMap((each): IdPosition[] =>
        (each.in === "path" || each.in === "query") && each.name !== undefined && isId(each.schema)
          ? [{ route, where: each.in, name: each.name }]
          : [],
      );
      const [type, body] = Object.entries(requestBody?.content ?? {})[0] ?? [];
      const fields = Object.entries(body ? (resolved(body.schema).properties ?? {}) : {});
      const where = type === "multipart/form-data" ? ("form" as const) : ("json" as const);
      return [...named, ...fields.filter(([, schema]) => isId(schema)).map(([name]) => ({ route, where, name }))];
    }),
  );
};
