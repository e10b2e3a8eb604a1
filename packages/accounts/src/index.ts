export { requireRole } from "./account-role.ts";
export { type ActingAccount, findActingAccount, getMe } from "./accounts.ts";
export { actingAccount, type Caller, callerRole } from "./caller.ts";
export {
  beginIdempotent,
  finishIdempotent,
  hashRequest,
  type IdempotencyClaim,
  type IdempotentRequest,
  purgeIdempotencyKeys,
  type StoredAnswer,
} from "./idempotency-keys.ts";
export { listProjects } from "./list-projects.ts";
export { createProject, deleteProject, getProject, updateProject } from "./projects.ts";
