// What is only shown: conflicts, health, the audit log, the rules.

import { age, bytes, count, h, length, moment, none, path, row, sign, svg, table } from "./dom.js";

const KINDS = [
  ["duplicate", "Duplicate"],
  ["in-progress", "In progress"],
  ["outcome-unknown", "Unknown"],
  ["key-reused", "Key reused"],
];
const ENDING = 14 * 86_400_000; // milliseconds before its end from which on a certificate is marked
const HEADS = ["Rule", "Entry", ...KINDS.map(([, title]) => title), "All"];

/** Conflicts of each entry of each rule, the most first. */
export function showConflicts(place, report) {
  const entries = new Map();
  for (const rule of report.rules) {
    for (const { entry, kind, count: times } of rule.conflicts) {
      const key = JSON.stringify([rule.rule, entry]);
      if (!entries.has(key)) entries.set(key, { rule: rule.rule, entry, kinds: {}, all: 0 });
      const found = entries.get(key);
      found.kinds[kind] = (found.kinds[kind] ?? 0) + times;
      found.all += times;
    }
  }
  const sorted = [...entries.values()].filter(({ all }) => all).sort((one, other) => other.all - one.all);
  if (!sorted.length) {
    place.replaceChildren(h("p", { class: "nothing" }, "No create has met another one."));
    return;
  }
  const rows = sorted.map(({ rule, entry, kinds, all }) =>
    row(HEADS, [
      rule,
      entry,
      ...KINDS.map(([kind]) => (kinds[kind] ? count(kinds[kind]) : none("0"))),
      h("span", { class: "figure share" }, count(all), share(all / sorted[0].all)),
    ]));
  place.replaceChildren(table("Conflicts by rule and entry", HEADS, rows));
}

function share(part) {
  return svg("svg", { class: "part", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { width: Math.max(1, part * 100), height: 6 }));
}

function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(([, value]) => value != null).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

export function showHealth(place, status) {
  const { store, config } = status;
  const sums = {};
  for (const { state, count: number } of store.claims) sums[state] = (sums[state] ?? 0) + number;
  const claims = ["created", "unknown", "in_flight"].map((state) => `${count(sums[state] ?? 0)} ${state.replace("_", " ")}`);
  place.replaceChildren(
    facts([
      ["Store", h("span", {}, sign(store.healthy ? "good" : "bad", store.healthy ? store.kind : `${store.kind}: ${store.reason}`))],
      ["Claims", claims.join(", ")],
      ["Size", store.bytes == null ? null : bytes(store.bytes)],
      ...status.upstreams.map(({ name, url, up }) => [`API ${name}`, sign(up ? "good" : "bad", up ? url : `${url} is not reached`)]),
      ["Oldest unknown", oldest(status.oldest_unknown)],
      ["Rules file", h("span", {}, path(config.path), h("br"), h("span", { class: "quiet" }, `${count(config.rules)} rules, ${config.hash}, read `, moment(config.loaded_at)))],
      ["Up for", length(status.uptime)],
      ["Loop lag", status.loop_lag == null ? null : `${Math.round(status.loop_lag * 1000)} ms`],
      ["Certificate", status.certificate_not_after && certificate(status.certificate_not_after)],
    ]),
    ...(config.problems.length
      ? [h("div", { class: "alarm" }, h("p", {}, "The rules file was changed and is refused; what was read before is in force:"), h("ul", {}, config.problems.map((text) => h("li", {}, text))))]
      : []),
  );
}

function certificate(end) {
  const isEnding = new Date(end) - Date.now() < ENDING;
  return sign(isEnding ? "bad" : "good", `until ${end.slice(0, 10)}`);
}

function oldest(unknown) {
  if (!unknown.length) return null;
  const first = unknown.reduce((one, other) => (other.age > one.age ? other : one));
  return h("span", {}, age(first.age, first.first_seen), ` of ${first.rule}`);
}

/** The last lines of the audit log, the newest first. */
export function showAudit(place, lines) {
  if (!lines.length) {
    place.replaceChildren(h("p", { class: "nothing" }, "Nothing was changed by hand since the start."));
    return;
  }
  place.replaceChildren(h("ol", { class: "log" }, lines.toReversed().map((line) =>
    h("li", {},
      h("p", {}, h("b", {}, line.action), " ", line.result && line.result !== "ok" ? h("span", { class: "quiet" }, `(${line.result}) `) : null,
        [line.rule, line.entry].filter(Boolean).join(" · "), " ", line.fingerprint ? h("code", {}, line.fingerprint) : null),
      line.reason ? h("p", { class: "reason" }, line.reason) : null,
      h("p", { class: "quiet" }, moment(line.time * 1000), ` ${line.who ?? ""}${line.from && line.from !== line.who ? ` from ${line.from}` : ""}`)))));
}

export function showRules(place, rules) {
  if (!rules.length) {
    place.replaceChildren(h("p", { class: "nothing" }, "The rules file has no rules: everything passes."));
    return;
  }
  place.replaceChildren(...rules.map(({ name, guards, words }) =>
    h("details", {},
      h("summary", {}, h("b", {}, name), " ", h("code", {}, guards)),
      h("ul", {}, words.map((text) => h("li", {}, text))))));
}
