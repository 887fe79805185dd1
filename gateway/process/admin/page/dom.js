// Elements, times and numbers. All text goes in as text, never as markup.

/** Make an element: attributes by name, "onclick" and the like as listeners, false and null left out. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for a drawing. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

export const by = (id) => document.getElementById(id);

/** Show a text in an element that is hidden while there is none. */
export function tell(element, text) {
  element.textContent = text ?? "";
  element.hidden = !text;
}

const numbers = new Intl.NumberFormat("en");
export const count = (value) => numbers.format(value);

export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let power = 0;
  while (value >= 1024 && power < units.length - 1) [value, power] = [value / 1024, power + 1];
  return `${power && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[power]}`;
}

const LENGTHS = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];

/** A length of time in its two largest units, as in "4 m 12 s". */
export function length(seconds) {
  seconds = Math.max(0, Math.floor(seconds));
  const first = LENGTHS.findIndex(([, size]) => seconds >= size);
  if (first < 0) return "0 s";
  const parts = [];
  for (const [unit, size] of LENGTHS.slice(first, first + 2)) {
    const number = Math.floor(seconds / size);
    seconds -= number * size;
    if (number || !parts.length) parts.push(`${number} ${unit}`);
  }
  return parts.join(" ");
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

/** A moment: its time of day, with its date when that is another one. The whole of it shows on hover. */
export function moment(when) {
  const at = new Date(when);
  const today = at.toDateString() === new Date().toDateString();
  return h("time", { datetime: at.toISOString(), title: at.toISOString() }, today ? clock.format(at) : `${day.format(at)} ${clock.format(at).slice(0, 5)}`);
}

/** An age that grows while it is shown. It is counted from now on: the clocks of two machines differ. */
export function age(seconds, firstSeen) {
  return h("time", { "data-born": Date.now() - seconds * 1000, title: firstSeen }, length(seconds));
}

export function growOlder() {
  for (const element of document.querySelectorAll("[data-born]")) {
    const text = length((Date.now() - Number(element.dataset.born)) / 1000);
    if (element.textContent !== text) element.textContent = text;
  }
}

/**
 * A link to a created thing. It can be followed only where it leads to another address by http: one without a host is
 * one of the API's, and the API is not here.
 */
export function link(text) {
  if (!text) return none();
  const safe = /^https?:\/\/[^\s\\]+$/i.test(text);
  return safe ? h("a", { href: text, rel: "noopener noreferrer", target: "_blank" }, text) : h("span", {}, text);
}

/** What is shown where there is nothing. */
export const none = (text = "–") => h("span", { class: "quiet none" }, text);

/** A path, which may be broken after each slash. */
export function path(text) {
  return text.split("/").flatMap((part, index) => (index ? ["/", h("wbr"), part] : [part]));
}

/** A state, or how well something is, as a dot and a word. */
export function sign(kind, text) {
  return h("span", { class: `sign ${kind}` }, text);
}

/** A table that stays one for screen readers when a narrow screen shows its rows as blocks. */
export function table(caption, heads, rows) {
  return h("table", { role: "table" },
    h("caption", { class: "unseen" }, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
      heads.map((head) => h("th", { role: "columnheader", scope: "col" }, head || h("span", { class: "unseen" }, "Actions"))))),
    h("tbody", { role: "rowgroup" }, rows));
}

export function row(heads, cells, attributes = {}) {
  return h("tr", { role: "row", ...attributes },
    cells.map((cell, index) => h("td", { role: "cell", "data-head": heads[index] }, cell)));
}
