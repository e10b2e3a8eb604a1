import { generateKeyPairSync, randomBytes, randomUUID } from "node:crypto";

/** What a person must say; everything else is made or left to be filled in. */
export type ProductionChoices = {
  /** Where people reach the installation: an origin, `https://cortex.example.com`. */
  publicUrl: string;
};

/** Letters and digits only: passwords stand inside of addresses, and nothing must be escaped there. */
const secret = (bytes = 24): string => randomBytes(bytes).toString("hex");

/** A new signing key for Supabase Auth: a set with one private ES256 key (`GOTRUE_JWT_KEYS`). */
const signingKeys = (): string => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const key = privateKey.export({ format: "jwk" });
  return JSON.stringify([{ ...key, kid: randomUUID(), alg: "ES256", use: "sig", key_ops: ["sign", "verify"] }]);
};

/** @throws Error unless it is an origin on the usual port, which is all that docker-compose.yml publishes */
const originOf = (text: string): string => {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url && /^https?:$/.test(url.protocol) && url.port === "" && url.origin === text.replace(/\/$/, "")) {
    return url.origin;
  }
  throw new Error(`"${text}" is no address like https://cortex.example.com (no path, no port).`);
};

/**
 * The text of an environment file for docker-compose.yml, with fresh secrets. A test holds it to the variables that the file asks for.
 * @throws Error if `publicUrl` is not an origin
 */
export const productionEnvironment = ({ publicUrl }: ProductionChoices): string =>
  `# For docker-compose.yml: docker compose --env-file .env.production up. Secrets: keep it to yourself, and keep a copy.
PUBLIC_URL=${originOf(publicUrl)}

# The key of the provider that docker/litellm.yaml names.
OPENAI_API_KEY=

# The plan of new accounts: local (nobody pays) or free (a run needs credit).
DEFAULT_PLAN=local

# Who may sign up, and how an address is confirmed. Without a mail server set AUTH_CONFIRM_EMAIL_ITSELF=true, and DISABLE_SIGNUP=true as soon
# as everybody has an account.
DISABLE_SIGNUP=false
AUTH_CONFIRM_EMAIL_ITSELF=false
SMTP_HOST=
SMTP_PORT=587
SMTP_USER=
SMTP_PASS=
SMTP_ADMIN_EMAIL=
SMTP_SENDER_NAME=Cortex

# Made for this installation. To change a database password: change it here, then set it in the database.
POSTGRES_PASSWORD=${secret()}
AUTH_DB_PASSWORD=${secret()}
CORTEX_API_DB_PASSWORD=${secret()}
CORTEX_WORKER_DB_PASSWORD=${secret()}
REDIS_PASSWORD=${secret()}
LITELLM_MASTER_KEY=sk-${secret()}
STREAM_TICKET_SECRET=${secret(32)}
PREVIEW_SECRET=${secret(32)}
SECRETS_KEYS=k1:${randomBytes(32).toString("base64")}
AUTH_JWT_SECRET=${secret(32)}
AUTH_JWT_KEYS='${signingKeys()}'

# Everything below may be left out; these are the defaults.
#SITE_URL=${originOf(publicUrl)}
#ADDITIONAL_REDIRECT_URLS=
#DEFAULT_MODEL=gpt-5-mini
#MODELS=
#WEB_ORIGINS=
#WORKER_CONCURRENCY=10
#SANDBOX_PROVIDER=auto
#TAVILY_API_KEY=
#BRAVE_API_KEY=
#EGRESS_ALLOW=
#LANGFUSE_PUBLIC_KEY=
#LANGFUSE_SECRET_KEY=
#LANGFUSE_BASE_URL=https://cloud.langfuse.com
#OTLP_TRACES_URL=
#OTLP_TRACES_HEADERS=
#TRACES_ENVIRONMENT=production
# Where people see ports of sandboxes, with a wildcard name and certificate of your own: docs/running-in-production.md.
#PREVIEW_URL=https://{label}.preview.example.com
#LOG_LEVEL=info
`;
