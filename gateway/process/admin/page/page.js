// The operator's page: asks the admin API, listens to its stream, and shows both.

import { Actions } from "./actions.js";
import * as api from "./api.js";
import { Charts } from "./charts.js";
import { Claims } from "./claims.js";
import { by, growOlder, tell } from "./dom.js";
import { Find } from "./find.js";
import { showAudit, showConflicts, showHealth, showRules } from "./panels.js";

const AT_MOST_EVERY = 2000; // milliseconds between two rounds of questions while much happens
const AT_LEAST_EVERY = 10_000; // and while the stream says nothing
const AGAIN_AFTER = [1000, 2000, 5000, 10_000]; // until a broken stream is asked for again

const actions = new Actions((text) => {
  by("said").textContent = text;
  by("claims-title").focus();
  changed();
}, changed);
const act = (kind, claim) => {
  const known = new Map([...find.held, ...claims.shown].map((each) => [each.fingerprint, each]));
  known.delete(claim.fingerprint);
  actions.ask(kind, claim, [...known.values()].filter(({ operation, state }) => operation === claim.operation && state === claim.state));
};
const claims = new Claims(act, fail);
const find = new Find(act);
const charts = new Charts(by("charts"));

function changed() {
  soon();
  find.again();
}

function pill(id, kind, text) {
  const element = by(id);
  if (element.textContent !== text) element.textContent = text;
  element.className = `pill ${kind}`;
}

function fail(error) {
  if (error.status === 401) askForToken(api.hasToken() ? "It is not the right one." : null);
  else tell(by("trouble"), error.message);
}

function askForToken(problem) {
  const dialog = by("ask");
  find.forget();
  tell(by("ask-error"), problem);
  if (!dialog.open) dialog.showModal();
}

by("ask").addEventListener("cancel", (event) => event.preventDefault()); // there is nothing behind it to see
by("ask").querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  api.useToken(by("ask-token").value.trim());
  try {
    await refresh();
    by("ask").close();
    by("ask-token").value = "";
  } catch (error) {
    api.useToken(null);
    tell(by("ask-error"), error.status === 401 ? "It is not the right one." : error.message);
  }
});
by("sign-out").addEventListener("click", () => {
  api.useToken(null);
  location.reload();
});

// Questions: all of them at once, soon after something has changed

let rulesOf = null;
let last = 0;
let timer;
let isAsking = false;

async function refresh() {
  const [status, report] = await Promise.all([api.get("status"), api.get("report"), claims.refresh()]);
  by("sign-out").hidden = !api.hasToken();
  by("version").textContent = status.version;
  showReady(status);
  showHealth(by("health-list"), status);
  showConflicts(by("conflicts-list"), report);
  by("conflicts-since").textContent = `since ${new Date(report.since).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" })}`;
  if (rulesOf !== status.config.hash) {
    const { rules } = await api.get("rules");
    rulesOf = status.config.hash;
    showRules(by("rules-list"), rules);
    claims.setRules(rules.map((rule) => rule.name));
  }
  tell(by("trouble"));
}

function showReady({ ready, reason }) {
  pill("ready", ready ? "good" : "bad", ready ? "Ready" : `Not ready: ${reason}`);
}

function soon() {
  clearTimeout(timer);
  timer = setTimeout(ask, Math.max(200, last + AT_MOST_EVERY - Date.now()));
}

async function ask() {
  clearTimeout(timer);
  if (isAsking || document.hidden || by("ask").open) {
    timer = setTimeout(ask, AT_MOST_EVERY);
    return;
  }
  isAsking = true;
  try {
    await refresh();
  } catch (error) {
    fail(error);
  } finally {
    isAsking = false;
    last = Date.now();
    clearTimeout(timer);
    timer = setTimeout(ask, AT_LEAST_EVERY);
  }
}

// The stream

const EVENTS = {
  minutes: (minutes) => charts.setMinutes(minutes),
  now: (now) => charts.setNow(now),
  audit: (lines) => showAudit(by("audit-list"), lines),
  state: (state) => {
    if (!state.ready) showReady(state); // that it is ready again, only the store can tell
    claims.setCounts(state.claims);
    const { unknown } = state.claims;
    document.title = (unknown ? `(${unknown}) ` : "") + "Idempotency gateway";
  },
};

async function listen() {
  for (let failures = 0; ; failures++) {
    let why = "";
    try {
      await api.stream((name, data) => {
        failures = 0;
        pill("live", "good", "Live");
        by("live").title = "";
        EVENTS[name]?.(data);
        soon();
      });
    } catch (error) {
      if (error.status === 401) fail(error);
      why = error.message;
    }
    pill("live", "bad", "Not live");
    by("live").title = why;
    const pause = AGAIN_AFTER[Math.min(failures, AGAIN_AFTER.length - 1)];
    await new Promise((resume) => setTimeout(resume, pause));
    while (by("ask").open) await new Promise((resume) => by("ask").addEventListener("close", resume, { once: true }));
  }
}

setInterval(growOlder, 1000);
document.addEventListener("visibilitychange", () => document.hidden || soon());
ask();
listen();
