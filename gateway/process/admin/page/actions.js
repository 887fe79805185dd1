// Release and settle: one dialog, which asks for the reason, and for the link.

import * as api from "./api.js";
import { age, by, h, link, tell } from "./dom.js";
import { state } from "./claims.js";

const KINDS = {
  release: {
    title: "Release this claim",
    what: "The next create of this identity is sent to the API. Do this only if you know that the first one did not happen.",
    button: "Release",
    done: (prefix) => `Released ${prefix}.`,
  },
  settle: {
    title: "Settle as created",
    what: "The first create did happen. Those who send it again are told so, and get the link.",
    button: "Settle as created",
    done: (prefix) => `Settled ${prefix} as created.`,
  },
};

const PAUSE = 1000; // milliseconds until the next attempt, when there were too many changes

async function change(path, told) {
  for (;;) {
    try {
      return await api.post(path, told);
    } catch (error) {
      if (error.status !== 429) throw error;
    }
    await new Promise((resume) => setTimeout(resume, PAUSE));
  }
}

export class Actions {
  #dialog = by("act");
  #kind;
  #claim;
  #others = [];
  #done;
  #changed;

  /** `done` is called with what was done, once it is; `changed` when only some of it could be. */
  constructor(done, changed) {
    this.#done = done;
    this.#changed = changed;
    by("act-cancel").addEventListener("click", () => this.#dialog.close());
    this.#dialog.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
  }

  /** Ask about a claim; `others` are those that the same create holds. */
  ask(kind, claim, others) {
    [this.#kind, this.#claim, this.#others] = [kind, claim, others];
    const { title, what, button } = KINDS[kind];
    by("act-title").textContent = title;
    by("act-what").textContent = what;
    by("act-do").textContent = button;
    by("act-do").className = kind === "release" ? "danger" : "main";
    by("act-link-label").hidden = kind !== "settle";
    by("act-link").value = claim.link ?? "";
    by("act-reason").value = "";
    by("act-others").checked = true;
    by("act-others-label").hidden = !others.length;
    const entries = [...new Set(others.map(({ entry }) => entry))].join(", ");
    by("act-others-text").textContent = `Also the ${others.length === 1 ? "other claim" : `${others.length} other claims`} of the same create: ${entries}`;
    tell(by("act-error"));
    by("act-claim").replaceChildren(
      ...[
        ["Rule", claim.rule],
        ["Entry", claim.entry],
        ["State", state(claim.state)],
        ["First seen", h("span", {}, age(claim.age, claim.first_seen), " ago")],
        ["Link", link(claim.link)],
        ["Fingerprint", h("code", {}, claim.fingerprint)],
      ].flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
    );
    this.#dialog.showModal();
    by(kind === "settle" ? "act-link" : "act-reason").focus();
  }

  async #send() {
    const [kind, claim] = [this.#kind, this.#claim];
    const wanted = by("act-others").checked ? [claim, ...this.#others] : [claim];
    const told = { reason: by("act-reason").value.trim().replace(/\s+/g, " ") };
    if (kind === "settle") Object.assign(told, { as: "created", link: by("act-link").value.trim() || null });
    by("act-do").disabled = true;
    let count = 0;
    try {
      for (; count < wanted.length; count++) await change(`claims/${wanted[count].fingerprint}/${kind}`, told);
    } catch (error) {
      tell(by("act-error"), count ? `${count} of ${wanted.length} done, then: ${error.message}` : error.message);
      if (count) this.#changed();
      return;
    } finally {
      by("act-do").disabled = false;
    }
    this.#dialog.close();
    this.#done(KINDS[kind].done(wanted.map(({ fingerprint }) => fingerprint.slice(0, 12)).join(", ")));
  }
}
