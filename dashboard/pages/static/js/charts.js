// The two small charts of the floor, drawn by uPlot.

import { moment } from "./format.js";

const KEPT = 300;
const LETTER = 6.4; // pixels, of the axes' font
const MINUTE = 60;
const STEPS = [1, 2, 5].flatMap((one) => [0, 1, 2, 3, 4, 5, 6].map((power) => one * 10 ** power)).sort((a, b) => a - b);

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** A chart of the last five minutes: `lines` of [name, colour, fill], points of [second, …values]. */
export class Chart {
  constructor(place, lines, unit) {
    this.place = place;
    this.lines = lines;
    this.unit = unit;
    this.points = [];
    addEventListener("themechange", () => this.draw());
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(place);
  }

  replace(points) {
    this.points = points.slice(-KEPT);
    this.draw();
  }

  add(points) {
    if (!points.length) return;
    const last = this.points.at(-1)?.[0] ?? 0;
    this.points.push(...points.filter((point) => point[0] > last));
    this.points.splice(0, this.points.length - KEPT);
    if (this.plot) this.plot.setData(this.columns());
    else this.draw();
  }

  columns() {
    const now = this.points.at(-1)?.[0] ?? Math.floor(Date.now() / 1000);
    const points = this.points.length ? this.points : [[now, ...this.lines.map(() => null)]];
    return points[0].map((_, column) => points.map((point) => point[column]));
  }

  size() {
    return { width: Math.max(120, this.place.clientWidth), height: this.place.clientHeight || 92 };
  }

  draw() {
    if (!globalThis.uPlot) return;
    this.plot?.destroy();
    const axis = { stroke: colour("ink-3"), font: "11px sans-serif", ticks: { show: false } };
    this.plot = new globalThis.uPlot({
      ...this.size(),
      legend: { show: false },
      cursor: { show: false },
      padding: [6, 18, 0, 0], // half a time's width, so that the last is not cut
      scales: {
        x: { range: (_, low, high) => [high - KEPT, high] },
        y: { range: (_, low, high) => [0, Math.max(5, (high ?? 0) * 1.15)] },
      },
      series: [{}, ...this.lines.map(([, stroke, fill]) => ({
        stroke: colour(stroke), width: 1.3, points: { show: false },
        fill: fill ? `${colour(stroke)}26` : undefined, spanGaps: true,
      }))],
      axes: [
        { ...axis, grid: { show: false }, size: 18, space: 60, incrs: [MINUTE, 2 * MINUTE, 5 * MINUTE], values: (_, values) => values.map((value) => moment(1000 * value)) },
        { ...axis, grid: { stroke: colour("line-2"), width: 1 }, space: 26, gap: 4, incrs: STEPS,
          size: (_, values) => 8 + LETTER * Math.max(2, ...(values ?? []).map((value) => value.length)),
          values: (_, values) => values.map((value) => `${value}${this.unit}`) },
      ],
    }, this.columns(), this.place);
  }
}
