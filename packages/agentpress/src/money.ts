import type { Usd } from "@cortex/contracts";

/** Money inside the engine: whole units of 1e-10 USD, because floats do not add up. */
export type UsdUnits = bigint;

const decimals = 10;
const unitsPerUsd = 10n ** BigInt(decimals);
const pattern = /^(-?)(\d{1,12})(?:\.(\d{1,10}))?$/;

/** @throws RangeError for text that is no decimal amount with at most ten decimals */
export const usdToUnits = (usd: Usd): UsdUnits => {
  const match = pattern.exec(usd);
  if (!match) throw new RangeError("not an amount in USD");
  const [, sign, whole = "0", fraction = ""] = match;
  const units = BigInt(whole) * unitsPerUsd + BigInt(fraction.padEnd(decimals, "0"));
  return sign === "-" ? -units : units;
};

/** The shortest decimal string: `"0"`, `"0.00012"`, `"3"`. */
export const unitsToUsd = (units: UsdUnits): Usd => {
  const sign = units < 0n ? "-" : "";
  const absolute = units < 0n ? -units : units;
  const fraction = (absolute % unitsPerUsd).toString().padStart(decimals, "0").replace(/0+$/, "");
  const whole = (absolute / unitsPerUsd).toString();
  return fraction === "" ? `${sign}${whole}` : `${sign}${whole}.${fraction}`;
};
