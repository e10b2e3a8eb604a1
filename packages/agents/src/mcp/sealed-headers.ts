import { AppError } from "@cortex/contracts";
import { type Vault, VaultError } from "@cortex/secrets";
import { z } from "zod";

const Headers = z.record(z.string(), z.string());

const placeOf = (server: { accountId: string; id: string }): string =>
  `${server.accountId}|mcp_servers|${server.id}|headers`;

/**
 * Headers as they are stored: sealed. Null: there are none.
 * @throws AppError `unavailable` where this installation has no keys to seal with: nothing is stored in the open
 */
export const sealHeaders = (
  vault: Vault | null,
  server: { accountId: string; id: string },
  headers: Readonly<Record<string, string>>,
): string | null => {
  if (Object.keys(headers).length === 0) return null;
  if (!vault)
    throw new AppError(
      "unavailable",
      "This installation has no keys for secrets (SECRETS_KEYS), so headers cannot be stored.",
    );
  return vault.seal(JSON.stringify(headers), placeOf(server));
};

/** @throws VaultError without the key that they were sealed with */
export const openHeaders = (
  vault: Vault | null,
  server: { accountId: string; id: string },
  sealed: string | null,
): Record<string, string> => {
  if (sealed === null) return {};
  if (!vault) throw new VaultError("this process has no SECRETS_KEYS");
  return Headers.parse(JSON.parse(vault.open(sealed, placeOf(server))));
};
