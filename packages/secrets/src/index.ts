export { createVault, type Vault, VaultError } from "./vault.ts";
