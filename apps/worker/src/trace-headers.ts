const headerName = /^[\w!#$%&'*+.^`|~-]+$/;

/** `name=value,name=value`; a value may hold `=`. Null: it is no such list. */
export const parseHeaders = (text: string): Record<string, string> | null => {
  const headers: Record<string, string> = {};
  for (const pair of text.split(",")) {
    const at = pair.indexOf("=");
    const name = pair.slice(0, Math.max(0, at)).trim();
    if (!headerName.test(name)) return null;
    headers[name] = pair.slice(at + 1).trim();
  }
  return headers;
};
