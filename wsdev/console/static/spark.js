// A line of some numbers, as an image with words.

import { h, setAttribute } from "./dom.js";

const WIDTH = 72;
const HEIGHT = 20;

export function makeSpark() {
  return h(
    "svg.spark",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none",
      "aria-hidden": "true" },
    h("path.area"),
    h("path.line"),
  );
}

/** Draw values from left to right, scaled to the largest; fewer than two make no line. */
export function drawSpark(svg, values) {
  const [area, line] = svg.children;
  svg.toggleAttribute("hidden", values.length < 2);
  if (values.length < 2) return;
  const most = Math.max(...values) || 1;
  const step = WIDTH / (values.length - 1);
  const points = values.map((value, i) => {
    const y = HEIGHT - 2 - (value / most) * (HEIGHT - 4);
    return `${(i * step).toFixed(1)} ${y.toFixed(1)}`;
  });
  setAttribute(line, "d", `M${points.join("L")}`);
  setAttribute(area, "d", `M0 ${HEIGHT}L${points.join("L")}L${WIDTH} ${HEIGHT}Z`);
}
