// Whether a line of samples rises.

// Two-sided 95 %; from 30 degrees of freedom on the normal distribution is near enough.
const STUDENT = [Infinity, 12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12,
  2.11, 2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045];

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function fit(points) {
  const [mx, my] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const sxx = points.reduce((sum, [x]) => sum + (x - mx) ** 2, 0);
  const slope = points.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0) / sxx;
  const rest = points.reduce((sum, [x, y]) => sum + (y - my - slope * (x - mx)) ** 2, 0);
  return { slope, error: Math.sqrt(rest / (points.length - 2) / sxx) };
}

/**
 * The slope of [x, y] points by least squares, and the half width of its 95 % confidence interval. Samples of memory follow
 * from each other: taken one by one, they would count as more evidence than they are, and the interval would be too narrow.
 * So they are averaged over `blocks` equal stretches first, and the line is laid through the averages.
 */
export function slope(points, blocks = 20) {
  const size = Math.max(1, Math.floor(points.length / blocks));
  const averages = [];
  for (let at = 0; at + size <= points.length; at += size) {
    const block = points.slice(at, at + size);
    averages.push([mean(block.map(([x]) => x)), mean(block.map(([, y]) => y))]);
  }
  if (averages.length < 3) return { slope: NaN, margin: Infinity };
  const { slope: rise, error } = fit(averages);
  return { slope: rise, margin: error * (STUDENT[averages.length - 2] ?? 1.96) };
}
