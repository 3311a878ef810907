const sorted = (numbers) => numbers.toSorted((a, b) => a - b);

export function quantile(numbers, part) {
  const values = sorted(numbers);
  const at = (values.length - 1) * part;
  const below = Math.floor(at);
  return values[below] + (values[Math.min(below + 1, values.length - 1)] - values[below]) * (at - below);
}

export const median = (numbers) => quantile(numbers, 0.5);

/** Element by element: round by round, what was measured side by side. */
export const pairs = (left, right, combine) => left.map((value, round) => combine(value, right[round]));
export const differences = (left, right) => pairs(left, right, (a, b) => a - b);
export const quotients = (left, right) => pairs(left, right, (a, b) => a / b);

/** The middle half of what the rounds gave. */
export const spread = (numbers) => [quantile(numbers, 0.25), quantile(numbers, 0.75)];
