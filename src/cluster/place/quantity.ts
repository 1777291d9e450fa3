// Amounts as Kubernetes writes them (`250m`, `64Mi`, `1e3`), and the whole numbers that the downward API makes of them. Pure.

const SUFFIXES: Record<string, [base: bigint, power: number]> = {
  n: [10n, -9],
  u: [10n, -6],
  m: [10n, -3],
  '': [10n, 0],
  k: [10n, 3],
  M: [10n, 6],
  G: [10n, 9],
  T: [10n, 12],
  P: [10n, 15],
  E: [10n, 18],
  Ki: [2n, 10],
  Mi: [2n, 20],
  Gi: [2n, 30],
  Ti: [2n, 40],
  Pi: [2n, 50],
  Ei: [2n, 60],
}
/** k8s.io/apimachinery/pkg/api/resource: nothing finer than a nano is kept. */
const NANO = 10n ** 9n
// Beyond what an amount can mean, and what an exponent may cost.
const MOST_DIGITS = 40
const MOST_EXPONENT = 40

/** An amount in billionths, rounded up; undefined for what is no amount. */
export function nanos(text: string): bigint | undefined {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:([KMGTPE]i|[numkMGTPE])|[eE]([+-]?\d+))?$/.exec(text)
  if (!match) return undefined
  const [, sign, whole, fraction = '', suffix = '', exponent] = match
  if (whole.length + fraction.length === 0 || whole.length + fraction.length > MOST_DIGITS) return undefined
  const [base, power] = exponent === undefined ? SUFFIXES[suffix] : ([10n, Number(exponent)] as const)
  if (Math.abs(power) > 60 || (exponent !== undefined && Math.abs(power) > MOST_EXPONENT)) return undefined
  const numerator = BigInt(whole + fraction) * NANO * (power > 0 ? base ** BigInt(power) : 1n)
  const denominator = 10n ** BigInt(fraction.length) * (power < 0 ? base ** BigInt(-power) : 1n)
  const size = ceilDivide(numerator, denominator)
  return sign === '-' ? -size : size
}

/**
 * What `amount` is in units of `divisor`, rounded up as the kubelet does: CPU is counted in thousandths first, all else in
 * whole units. Undefined for what is no amount.
 */
export function inUnitsOf(amount: string, divisor: string, cpu: boolean): string | undefined {
  const unit = cpu ? NANO / 1000n : NANO
  const [size, by] = [nanos(amount), nanos(divisor)]
  if (size === undefined || by === undefined) return undefined
  // A divisor of nothing stands for one.
  const parts = by === 0n ? NANO / unit : ceilDivide(by, unit)
  return String(ceilDivide(ceilDivide(size, unit), parts))
}

/** True for an amount of nothing, and for what is no amount. */
export function isZero(amount: string | undefined): boolean {
  return amount === undefined || (nanos(amount) ?? 0n) === 0n
}

function ceilDivide(a: bigint, b: bigint): bigint {
  return a > 0n ? (a + b - 1n) / b : a / b
}
