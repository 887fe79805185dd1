// The claims that block creates, oldest first, with what can be done about them.

import * as api from "./api.js";
import { age, by, count, h, link, moment, row, sign, table } from "./dom.js";

const STEP = 50; // claims shown at first, and more with each press of "Show more"
const MOST = 500;
const WALKS = 5; // pages asked for at most when they come short
const HEADS = ["Age", "Rule and entry", "Fingerprint", "Link", "Blocked until", ""];
const STATES = { unknown: "Unknown", in_flight: "In flight", created: "Created", free: "Free" };

/** A state as a dot and its name. */
export const state = (name) => sign(name, STATES[name] ?? name);

/** The buttons of one claim. One that is in flight has an owner who settles it. */
export function actions(claim, act) {
  if (claim.state === "in_flight") return h("span", { class: "quiet" }, "under way");
  const about = ` ${claim.fingerprint.slice(0, 12)}`;
  return h("span", { class: "buttons" },
    h("button", { class: "small", onclick: () => act("release", claim) }, "Release", h("span", { class: "unseen" }, about)),
    h("button", { class: "small", onclick: () => act("settle", claim) }, claim.state === "created" ? "Change link" : "Settle", h("span", { class: "unseen" }, about)));
}

export function fingerprint(text) {
  return h("code", { title: text }, text.slice(0, 12));
}

export class Claims {
  /** Those that are shown. */
  shown = [];
  #limit = STEP;
  #rows = new Map();
  #asked = 0;
  #act;

  /** `act` is called with "release" or "settle", and a claim; `fail` with what went wrong. */
  constructor(act, fail) {
    this.#act = act;
    const again = () => {
      this.#limit = STEP;
      this.refresh().catch(fail);
    };
    for (const field of document.querySelectorAll("#claims [name=state], #claims select")) field.addEventListener("change", again);
    by("claims-more").addEventListener("click", () => {
      this.#limit = Math.min(this.#limit + STEP, MOST);
      this.refresh().catch(fail);
    });
  }

  get #state() {
    return document.querySelector("#claims [name=state]:checked").value;
  }

  setRules(names) {
    const select = by("claims-rule");
    const chosen = select.value;
    select.replaceChildren(h("option", { value: "" }, "Every rule"), ...names.map((name) => h("option", { value: name }, name)));
    select.value = names.includes(chosen) ? chosen : "";
  }

  setCounts(counts) {
    for (const name of ["unknown", "in_flight"]) by(`${name}-count`).textContent = count(counts[name] ?? 0);
  }

  async refresh() {
    const asked = ++this.#asked;
    const wanted = { state: this.#state, rule: by("claims-rule").value, older_than: by("claims-age").value };
    const claims = [];
    let cursor = "";
    for (let walk = 0; walk < WALKS && claims.length < this.#limit; walk++) {
      const page = await api.get("claims", { ...wanted, limit: this.#limit - claims.length, cursor });
      claims.push(...page.claims);
      cursor = page.next;
      if (!cursor) break;
    }
    if (asked !== this.#asked) return;
    this.shown = claims;
    this.#show(claims, Boolean(cursor));
  }

  /** Rows that are the same stay as they are, with whatever has the focus in them. */
  #show(claims, isMore) {
    const place = by("claims-list");
    let body = place.querySelector("tbody");
    by("claims-more").hidden = !isMore || this.#limit >= MOST;
    if (!claims.length) {
      this.#rows.clear();
      const none = this.#state === "unknown" ? "No create is blocked by an unknown outcome." : "No create is in flight.";
      place.replaceChildren(h("p", { class: "nothing" }, isMore ? "None found yet among very many. Choose fewer." : none));
      return;
    }
    if (!body) {
      place.replaceChildren(table("Blocked claims", HEADS, []));
      body = place.querySelector("tbody");
      this.#rows.clear();
    }
    const rows = new Map();
    for (const claim of claims) {
      const known = JSON.stringify({ ...claim, age: 0 });
      const before = this.#rows.get(claim.fingerprint);
      rows.set(claim.fingerprint, before?.known === known ? before : { known, element: this.#row(claim) });
    }
    for (const [name, before] of this.#rows) if (rows.get(name) !== before) before.element.remove();
    let next = body.firstElementChild;
    for (const { element } of rows.values()) {
      if (element === next) next = next.nextElementSibling;
      else body.insertBefore(element, next);
    }
    this.#rows = rows;
  }

  #row(claim) {
    return row(HEADS, [
      h("b", { class: "age" }, age(claim.age, claim.first_seen)),
      h("span", {}, claim.rule, " ", h("span", { class: "quiet" }, `· ${claim.entry}`)),
      fingerprint(claim.fingerprint),
      link(claim.link),
      claim.expires_at ? moment(claim.expires_at) : h("span", { class: "quiet" }, claim.state === "in_flight" ? "it ends" : "for ever"),
      actions(claim, this.#act),
    ]);
  }
}
