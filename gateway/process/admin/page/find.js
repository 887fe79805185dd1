// Which claims a sample create has, and what would happen to it.

import * as api from "./api.js";
import { actions, fingerprint, state } from "./claims.js";
import { age, by, h, link, none, row, table } from "./dom.js";

const HEADS = ["Entry", "State", "Age", "Link", "Fingerprint", ""];

export class Find {
  /** The claims that were found held. */
  held = [];
  #form = by("find-form");
  #asked = null;
  #act;

  constructor(act) {
    this.#act = act;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#asked = this.#sample();
      this.again();
    });
  }

  /** Ask once more for what was asked for last, after something has changed. */
  async again() {
    if (!this.#asked) return;
    const place = by("found");
    try {
      const found = await api.post("claims/find", this.#asked);
      this.held = found.claims.flatMap(({ claim }) => claim ?? []);
      this.#show(place, found);
    } catch (error) {
      place.replaceChildren(h("p", { class: "alarm" }, error.message));
    }
  }

  /** Throw away what was found: it may be that of somebody who has gone. */
  forget() {
    this.#asked = null;
    this.held = [];
    by("found").replaceChildren();
  }

  #sample() {
    const { method, target, headers, body } = Object.fromEntries(new FormData(this.#form));
    const fields = {};
    for (const line of headers.split("\n")) {
      const colon = line.indexOf(":");
      if (colon > 0) fields[line.slice(0, colon).trim()] = line.slice(colon + 1).trim();
    }
    return { method: method.trim(), path: target.trim(), headers: fields, body };
  }

  #show(place, found) {
    const rule = found.rule ? h("p", {}, "Rule ", h("b", {}, found.rule), ": ", found.happens) : h("p", {}, found.happens);
    const rows = found.claims.map(({ entry, fingerprint: text, state: name, claim }) =>
      row(HEADS, [
        entry,
        state(name),
        claim ? age(claim.age, claim.first_seen) : none(),
        link(claim?.link),
        fingerprint(text),
        claim ? actions(claim, this.#act) : none("nothing blocks it"),
      ]));
    place.replaceChildren(rule, ...(rows.length ? [table("Claims of this create", HEADS, rows)] : []));
  }
}
