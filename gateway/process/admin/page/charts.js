// What happens each minute: four small charts of bars, the last of which is the minute under way.

import { count, h, svg } from "./dom.js";

const MINUTES = 60;
const HEIGHT = 40;
const SERIES = [
  ["created", "Created", "went through to the API, which made them"],
  ["duplicates", "Duplicates", "met a create that was there before"],
  ["retries", "Retries", "of the same caller, told from duplicates"],
  ["unknown", "Unknown", "whose outcome, or that of an earlier one, is not known"],
];

export class Charts {
  #minutes = [];
  #tiles = new Map();

  constructor(place) {
    for (const [name, title, meaning] of SERIES) {
      const now = h("span", { class: "number" }, "–");
      const total = h("p", { class: "quiet" });
      const bars = svg("svg", { class: "bars", role: "img", viewBox: `0 0 ${MINUTES * 4} ${HEIGHT}`, preserveAspectRatio: "none" });
      place.append(h("div", { class: `tile card ${name}`, title: `${title}: creates that ${meaning}` }, h("h3", {}, title), h("p", {}, now, " this minute"), bars, total));
      this.#tiles.set(name, { title, now, total, bars });
    }
  }

  /** The minutes of the last hour that are over. */
  setMinutes(minutes) {
    this.#minutes = minutes.slice(1 - MINUTES);
  }

  /** The minute under way. */
  setNow(now) {
    const all = [...this.#minutes, now];
    for (const [name, tile] of this.#tiles) draw(tile, name, all);
  }
}

function draw({ title, now, total, bars }, name, minutes) {
  const values = minutes.map((minute) => minute[name]);
  const sum = values.reduce((one, other) => one + other, 0);
  const most = Math.max(...values);
  now.textContent = count(values.at(-1));
  now.classList.toggle("some", values.at(-1) > 0);
  total.textContent = sum ? `${count(sum)} in the last hour, peak ${count(most)}` : "None in the last hour";
  bars.setAttribute("aria-label", `${title} per minute: ${values.at(-1)} now, peak ${most}, ${sum} in the last hour`);
  const first = MINUTES - values.length;
  bars.replaceChildren(
    svg("line", { x1: 0, x2: MINUTES * 4, y1: HEIGHT - 0.5, y2: HEIGHT - 0.5, class: "base" }),
    ...values.map((value, index) => {
      const high = most ? (value / most) * (HEIGHT - 2) : 0;
      const at = new Date(minutes[index].at).toTimeString().slice(0, 5);
      const shown = value ? Math.max(high, 2) : 0;
      return svg("rect", { x: (first + index) * 4 + 0.5, width: 3, y: HEIGHT - shown, height: shown, class: index === values.length - 1 ? "latest" : null },
        svg("title", {}, `${at}: ${count(value)}`));
    }),
  );
}
