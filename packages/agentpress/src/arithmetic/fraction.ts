/** A number without rounding: numerator and denominator, reduced, the denominator positive. */
export interface Fraction {
  readonly top: bigint;
  readonly bottom: bigint;
}

/** A calculation that has no answer, or none that we are willing to compute. The message is for the model. */
export class ArithmeticError extends Error {
  override readonly name = "ArithmeticError";
}

/** Digits of a numerator or denominator: enough for anything sensible, little enough that no expression keeps a worker busy. */
const maxDigits = 500;
const maxBits = Math.ceil(maxDigits * Math.log2(10));

/** Significant digits of a quotient that does not end. */
const quotientDigits = 20;

const bits = (value: bigint): number => (value < 0n ? -value : value).toString(16).length * 4;

const bounded = (value: Fraction): Fraction => {
  if (bits(value.top) > maxBits || bits(value.bottom) > maxBits) {
    throw new ArithmeticError(`The result has more than ${maxDigits} digits.`);
  }
  return value;
};

const greatestCommonDivisor = (left: bigint, right: bigint): bigint => {
  let [a, b] = [left < 0n ? -left : left, right];
  while (b !== 0n) [a, b] = [b, a % b];
  return a;
};

const fraction = (top: bigint, bottom: bigint): Fraction => {
  const sign = bottom < 0n ? -1n : 1n;
  const divisor = greatestCommonDivisor(top, bottom * sign) || 1n;
  return bounded({ top: (top * sign) / divisor, bottom: (bottom * sign) / divisor });
};

/** @param text decimal digits with at most one point and an exponent, as `1.5e-3` */
export const parseDecimal = (text: string): Fraction => {
  const [mantissa = "", exponent = "0"] = text.toLowerCase().split("e");
  const [whole = "", decimals = ""] = mantissa.split(".");
  const shift = Number(exponent) - decimals.length;
  if (Math.abs(shift) > maxDigits || mantissa.length > maxDigits) {
    throw new ArithmeticError(`A number has more than ${maxDigits} digits.`);
  }
  const digits = BigInt(`${whole}${decimals}`);
  return shift >= 0 ? fraction(digits * 10n ** BigInt(shift), 1n) : fraction(digits, 10n ** BigInt(-shift));
};

export const add = (left: Fraction, right: Fraction): Fraction =>
  fraction(left.top * right.bottom + right.top * left.bottom, left.bottom * right.bottom);

export const negate = (value: Fraction): Fraction => ({ top: -value.top, bottom: value.bottom });

export const subtract = (left: Fraction, right: Fraction): Fraction => add(left, negate(right));

export const multiply = (left: Fraction, right: Fraction): Fraction =>
  fraction(left.top * right.top, left.bottom * right.bottom);

export const divide = (left: Fraction, right: Fraction): Fraction => {
  if (right.top === 0n) throw new ArithmeticError("Division by zero.");
  return fraction(left.top * right.bottom, left.bottom * right.top);
};

/** What is left after dividing as often as it goes; it has the sign of `left`. */
export const remainder = (left: Fraction, right: Fraction): Fraction => {
  if (right.top === 0n) throw new ArithmeticError("Division by zero.");
  return fraction((left.top * right.bottom) % (right.top * left.bottom), left.bottom * right.bottom);
};

const toFloat = (value: Fraction): number => Number(format(value));

/** Exact for whole exponents. Otherwise computed in floating point, to 15 significant digits. */
export const power = (base: Fraction, exponent: Fraction): Fraction => {
  if (exponent.bottom !== 1n) {
    const result = toFloat(base) ** toFloat(exponent);
    if (!Number.isFinite(result)) throw new ArithmeticError("The power has no real result.");
    const text = result.toPrecision(15);
    return text.startsWith("-") ? negate(parseDecimal(text.slice(1))) : parseDecimal(text);
  }
  const times = exponent.top < 0n ? -exponent.top : exponent.top;
  const size = Math.max(bits(base.top), bits(base.bottom));
  const trivial = base.bottom === 1n && base.top >= -1n && base.top <= 1n;
  // Checked before it is computed: 9^9^9 has 370 million digits.
  if (!trivial && times * BigInt(Math.max(1, size - 4)) > BigInt(maxBits)) {
    throw new ArithmeticError(`The result has more than ${maxDigits} digits.`);
  }
  const effective = trivial ? (times % 2n) + (times > 1n ? 2n : 0n) : times;
  const raised = fraction(base.top ** effective, base.bottom ** effective);
  return exponent.top < 0n ? divide({ top: 1n, bottom: 1n }, raised) : raised;
};

const withPoint = (digits: string, decimals: number): string => {
  if (decimals <= 0) return digits;
  const padded = digits.padStart(decimals + 1, "0");
  const point = padded.length - decimals;
  return `${padded.slice(0, point)}.${padded.slice(point)}`.replace(/\.?0+$/, "");
};

/** How many decimals the exact value has; null if it never ends. */
const decimalsOf = (bottom: bigint): number | null => {
  let rest = bottom;
  let twos = 0;
  let fives = 0;
  for (; rest % 2n === 0n; rest /= 2n) twos += 1;
  for (; rest % 5n === 0n; rest /= 5n) fives += 1;
  return rest === 1n ? Math.max(twos, fives) : null;
};

/** Decimal notation: exact where it ends, else rounded half away from zero to 20 significant digits. */
export const format = (value: Fraction): string => {
  const sign = value.top < 0n ? "-" : "";
  const top = value.top < 0n ? -value.top : value.top;
  const exact = decimalsOf(value.bottom);
  const wholeDigits = top >= value.bottom ? (top / value.bottom).toString().length : -leadingZeros(top, value.bottom);
  const decimals = exact ?? Math.max(0, quotientDigits - wholeDigits);
  const doubled = (2n * top * 10n ** BigInt(decimals)) / value.bottom;
  return sign + withPoint(((doubled + 1n) / 2n).toString(), decimals);
};

/** Zeros after the point of a fraction below 1. */
const leadingZeros = (top: bigint, bottom: bigint): number =>
  top === 0n ? 0 : Math.max(0, (bottom / top).toString().length - 1);
