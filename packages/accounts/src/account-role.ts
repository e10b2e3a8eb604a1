import { type AccountRole, AppError } from "@cortex/contracts";

/** What each role may do includes what the ones before it may: viewers read, members work, admins and owners manage. */
const ranks: Record<AccountRole, number> = { viewer: 0, member: 1, admin: 2, owner: 3 };

/** Does the role reach at least that far? */
export const hasRole = (role: AccountRole | null, least: AccountRole): boolean =>
  role !== null && ranks[role] >= ranks[least];

/** Refuses with `forbidden`: the caller may see the account, but its role does not reach that far. */
export const requireRole = (role: AccountRole | null, least: AccountRole): void => {
  if (!hasRole(role, least)) throw new AppError("forbidden", `This needs the role ${least} in the account.`);
};
