import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";

type PrivateKey = Awaited<ReturnType<typeof generateKeyPair>>["privateKey"];

export interface SigningKey {
  kid: string;
  alg: "ES256" | "RS256";
  privateKey: PrivateKey;
  jwk: JWK;
}

export const newSigningKey = async (alg: "ES256" | "RS256" = "ES256"): Promise<SigningKey> => {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  const kid = crypto.randomUUID();
  return { kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: "sig", key_ops: ["verify"] } };
};

/** What stands in for a Supabase project: it publishes keys and signs what it is told to. */
export interface SigningProject {
  url: string;
  issuer: string;
  key: SigningKey;
  /** What the JWKS publishes; may be changed. */
  published: JWK[];
  /** How often it was asked. */
  fetches(): number;
  /** Answers with this status from now on; 200 again gives the keys. */
  answerWith(status: number): void;
  /** An access token as the project issues it, with claims and header changed as told (undefined: left out). */
  token(claims?: Record<string, unknown>, header?: Record<string, unknown>, key?: SigningKey): Promise<string>;
  close(): Promise<void>;
}

export const startSigningProject = async (): Promise<SigningProject> => {
  const key = await newSigningKey();
  const published = [key.jwk];
  let fetches = 0;
  let status = 200;
  const server = createServer((request, response) => {
    fetches += 1;
    const known = request.url === "/auth/v1/.well-known/jwks.json" && status === 200;
    response.writeHead(known ? 200 : status === 200 ? 404 : status, { "content-type": "application/json" });
    response.end(JSON.stringify(known ? { keys: published } : {}));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const issuer = `${url}/auth/v1`;
  return {
    url,
    issuer,
    key,
    published,
    fetches: () => fetches,
    answerWith: (next) => {
      status = next;
    },
    token: (claims = {}, header = {}, signer = key) => {
      const now = Math.floor(Date.now() / 1_000);
      const usual = { aud: "authenticated", role: "authenticated", iss: issuer, iat: now, exp: now + 3_600 };
      return new SignJWT({ ...usual, sub: crypto.randomUUID(), ...claims })
        .setProtectedHeader({ alg: signer.alg, kid: signer.kid, typ: "JWT", ...header })
        .sign(signer.privateKey);
    },
    close: () =>
      new Promise((resolve, reject) => {
        server.closeAllConnections();
        server.close((error) => (error ? reject(error) : resolve()));
      }),
  };
};
