/** Plane geometry. Points are [x, y], corner-based level-0 px; matrices are 3 x 3 rows, as the API gives them. */

/** The image of a point. */
export function apply(matrix, [x, y]) {
  const [[a, b, e], [c, d, f]] = matrix;
  return [a * x + b * y + e, c * x + d * y + f];
}

export function determinant([[a, b], [c, d]]) {
  return a * d - b * c;
}

export function invert(matrix) {
  const [[a, b, e], [c, d, f]] = matrix;
  const size = determinant(matrix);
  return [
    [d / size, -b / size, (b * f - d * e) / size],
    [-c / size, a / size, (c * e - a * f) / size],
    [0, 0, 1],
  ];
}

/** `first` is applied first: (multiply(g, f))(x) = g(f(x)). */
export function multiply(g, f) {
  return g.map((row) => [0, 1, 2].map((column) => row.reduce((sum, value, i) => sum + value * f[i][column], 0)));
}

/**
 * The similarity nearest to the linear part (least squares), a mirror where the determinant is negative.
 * Returned as a view turns an image: rotation by `rotation` degrees clockwise, then a left-right flip, times `scale`.
 */
export function similarity(matrix) {
  const flip = determinant(matrix) < 0;
  const sign = flip ? -1 : 1;
  const [[a, b], [c, d]] = matrix;
  const cosine = (sign * a + d) / 2;
  const sine = (c - sign * b) / 2;
  return { scale: Math.hypot(cosine, sine), rotation: (Math.atan2(sine, cosine) * 180) / Math.PI, flip };
}

/** The linear map of a view: scale x flip x rotation. */
export function linear({ scale, rotation, flip }) {
  const angle = (rotation * Math.PI) / 180;
  const [cosine, sine] = [scale * Math.cos(angle), scale * Math.sin(angle)];
  const sign = flip ? -1 : 1;
  return [[sign * cosine, -sign * sine, 0], [sine, cosine, 0], [0, 0, 1]];
}

/** Corners of a box, clockwise from top left. */
export function corners({ x, y, width, height }) {
  return [[x, y], [x + width, y], [x + width, y + height], [x, y + height]];
}

/** Is the point inside the convex polygon, or within `margin` of its edge? */
export function inPolygon(polygon, point, margin = 0) {
  return edgeDistances(polygon, point).every((distance) => distance >= -margin);
}

/** Distance from the nearest edge, for a point near or in the polygon. */
export function edgeDistance(polygon, point) {
  return Math.min(...edgeDistances(polygon, point).map(Math.abs));
}

function edgeDistances(polygon, [x, y]) {
  const turn = Math.sign(area(polygon)) || 1;
  return polygon.map(([x1, y1], i) => {
    const [x2, y2] = polygon[(i + 1) % polygon.length];
    return (turn * ((x2 - x1) * (y - y1) - (y2 - y1) * (x - x1))) / (Math.hypot(x2 - x1, y2 - y1) || 1);
  });
}

function area(polygon) {
  return polygon.reduce((sum, [x1, y1], i) => {
    const [x2, y2] = polygon[(i + 1) % polygon.length];
    return sum + x1 * y2 - x2 * y1;
  }, 0);
}
