import { generateKeyPairSync, sign } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** What stands in for a Supabase project: it publishes a key and signs access tokens with it. */
export interface TokenIssuer {
  /** SUPABASE_URL of the API. */
  url: string;
  /** An access token of that user, good for a day. */
  token(userId: string): string;
  close(): Promise<void>;
}

const base64url = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Serves a JWKS, as the API fetches it, on a free port. */
export const startTokenIssuer = async (): Promise<TokenIssuer> => {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const kid = crypto.randomUUID();
  const keys = [{ ...publicKey.export({ format: "jwk" }), kid, alg: "ES256", use: "sig", key_ops: ["verify"] }];
  const server = createServer((request, response) => {
    const known = request.url === "/auth/v1/.well-known/jwks.json";
    response.writeHead(known ? 200 : 404, { "content-type": "application/json" });
    response.end(JSON.stringify(known ? { keys } : {}));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    token: (userId) => {
      const now = Math.floor(Date.now() / 1_000);
      const claims = {
        sub: userId,
        aud: "authenticated",
        role: "authenticated",
        iss: `${url}/auth/v1`,
        iat: now,
        exp: now + 24 * 3_600,
      };
      const content = `${base64url({ alg: "ES256", kid, typ: "JWT" })}.${base64url(claims)}`;
      const signature = sign("sha256", Buffer.from(content), { key: privateKey, dsaEncoding: "ieee-p1363" });
      return `${content}.${signature.toString("base64url")}`;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
};
