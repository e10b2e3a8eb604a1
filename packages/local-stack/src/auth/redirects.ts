/** Where a link in a mail may lead: pages of the site and of the other configured origins. */
export interface RedirectRules {
  siteUrl: string;
  allowedOrigins: ReadonlySet<string>;
}

/**
 * The wanted target if its origin is allowed, else the site, as hosted does: a link in a mail carries a session in its fragment, so a
 * foreign target would hand that session over. No error, because the one who clicks did not write the link.
 */
export function redirectTarget(rules: RedirectRules, wanted: string | null): string {
  if (wanted === null || !URL.canParse(wanted)) return rules.siteUrl;
  const { origin } = new URL(wanted);
  return origin !== "null" && (origin === new URL(rules.siteUrl).origin || rules.allowedOrigins.has(origin))
    ? wanted
    : rules.siteUrl;
}
