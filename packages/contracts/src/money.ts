import type { Usd } from "./values.ts";

/**
 * Exact arithmetic on amounts in USD. An amount travels as a decimal string and is calculated as a bigint in units of 1e-10 USD, which is
 * also the scale of every `numeric(20, 10)` column; no float is ever in between. What comes out is canonical: no trailing zeros, no `-0`.
 */
const decimals = 10;
const unitsPerUsd = 10n ** BigInt(decimals);
const amount = /^(-?)(\d+)(?:\.(\d{1,10}))?$/;

/** An amount in units of 1e-10 USD. Throws a `TypeError` on anything but a decimal with at most ten places: a bug, not a bad request. */
export const usdToUnits = (usd: Usd): bigint => {
  const match = amount.exec(usd);
  if (!match) throw new TypeError(`not an amount in USD: ${usd}`);
  const [, sign, whole = "0", fraction = ""] = match;
  const units = BigInt(whole) * unitsPerUsd + BigInt(fraction.padEnd(decimals, "0"));
  return sign === "-" ? -units : units;
};

/** The canonical decimal string of an amount in units of 1e-10 USD. */
export const unitsToUsd = (units: bigint): Usd => {
  const size = units < 0n ? -units : units;
  const fraction = (size % unitsPerUsd).toString().padStart(decimals, "0").replace(/0+$/, "");
  return `${units < 0n ? "-" : ""}${size / unitsPerUsd}${fraction === "" ? "" : `.${fraction}`}`;
};

/** The same amount in its canonical form: Postgres says `0.0500000000` where the wire says `0.05`. */
export const canonicalUsd = (usd: Usd): Usd => unitsToUsd(usdToUnits(usd));

/** The sum; of nothing it is `0`. */
export const addUsd = (...amounts: readonly Usd[]): Usd =>
  unitsToUsd(amounts.reduce((sum, each) => sum + usdToUnits(each), 0n));

export const subtractUsd = (from: Usd, take: Usd): Usd => unitsToUsd(usdToUnits(from) - usdToUnits(take));

export const negateUsd = (usd: Usd): Usd => unitsToUsd(-usdToUnits(usd));

/** Negative, zero or positive, as a comparator of `sort` wants it. */
export const compareUsd = (left: Usd, right: Usd): -1 | 0 | 1 => {
  const difference = usdToUnits(left) - usdToUnits(right);
  if (difference === 0n) return 0;
  return difference < 0n ? -1 : 1;
};

/**
 * What a number of tokens costs at a price in USD per million tokens. Exact for prices of up to four decimal places; finer ones are rounded
 * up to the next 1e-10 USD, so that nothing that has a price is ever free.
 */
export const tokenCostUsd = (tokens: number, usdPerMillionTokens: Usd): Usd => {
  const product = BigInt(tokens) * usdToUnits(usdPerMillionTokens);
  return unitsToUsd((product + 999_999n) / 1_000_000n);
};
