import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { productionEnvironment } from "./production/environment.ts";

/*
 * `npm run production:env -- https://cortex.example.com`: writes `.env.production` for docker-compose.yml, with secrets of its own and
 * readable by its owner only. One that exists is never overwritten: its secrets may be the only way into a database.
 */

const file = resolve(import.meta.dirname, "../.env.production");

try {
  const [publicUrl = ""] = process.argv.slice(2);
  writeFileSync(file, productionEnvironment({ publicUrl }), { mode: 0o600, flag: "wx" });
  console.log(`wrote ${file}; fill in OPENAI_API_KEY and, for confirmation mails, SMTP_…`);
} catch (error) {
  const exists = error instanceof Error && "code" in error && error.code === "EEXIST";
  console.error(exists ? `${file} exists already: remove it yourself if it is really not needed.` : String(error));
  process.exit(1);
}
