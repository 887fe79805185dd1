// The admin API: requests with the token, and the stream of events.

const KEY = "gateway-token";
const SILENCE = 40_000; // milliseconds without any sign of life after which a stream counts as broken

let token = sessionStorage.getItem(KEY);

export class ApiError extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

export const hasToken = () => token !== null;

/** Use a token from now on, in this tab; null forgets it. */
export function useToken(text) {
  token = text;
  if (text === null) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, text);
}

async function send(path, options = {}) {
  const headers = { ...options.headers };
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The gateway does not answer.");
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw new ApiError(answer.status, said.error ?? `The gateway answers ${answer.status}.`);
}

/** Ask for a path with parameters, of which empty ones are left out. Throws ApiError. */
export async function get(path, parameters = {}) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value));
  return (await send(query.size ? `${path}?${query}` : path)).json();
}

export async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  return (await send(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

/** Read the stream until it ends. `act` gets the name and the data of each event. Throws ApiError. */
export async function stream(act) {
  const broken = new AbortController();
  let timer;
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => broken.abort(), SILENCE);
  };
  alive();
  try {
    const answer = await send("events", { signal: broken.signal });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      alive();
      const frames = (rest + value).split("\n\n");
      rest = frames.pop();
      for (const frame of frames) read(frame, act);
    }
  } finally {
    clearTimeout(timer);
    broken.abort();
  }
}

function read(frame, act) {
  const fields = {};
  for (const line of frame.split("\n")) {
    const [, name, value] = /^(event|data): (.*)$/.exec(line) ?? [];
    if (name) fields[name] = value;
  }
  if (fields.event) act(fields.event, JSON.parse(fields.data));
}
