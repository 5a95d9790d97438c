/** Speaks to the service: JSON both ways, its problem documents as errors, the API key where there is one. */

const KEY = "dmi-api-key";

/** What the service (or the way to it) has against a request. */
export class Problem extends Error {
  constructor(status, title, detail) {
    super(detail);
    Object.assign(this, { status, title });
  }

  get wantsKey() {
    return this.status === 401 || this.status === 403;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => sessionStorage.setItem(KEY, value),
};

export const version = () => call("/version");
export const users = (limit) => call(`/explorer/users?limit=${limit}`);
export const catalogue = (user) => call(`/explorer/catalogue?${query({ user_id: user })}`);
export const items = (wanted, user, signal) => call(`/explorer/items?${query({ ...wanted, user_id: user })}`, { signal });
export const sendEvent = (user_id, item_id) => post("/events", { events: [{ user_id, item_id }] });

/** One request of POST /match: its answer, the seconds of each stage, the milliseconds that we waited. */
export async function match(request, signal) {
  const started = performance.now();
  const response = await respond("/match", sending({ requests: [request] }, signal));
  const waited = performance.now() - started;
  const [answer] = (await response.json()).results;
  if ("detail" in answer) throw new Problem(answer.status, answer.title, answer.detail);
  return { answer, waited, stages: stagesOf(response.headers.get("Server-Timing") ?? "") };
}

/** The same request as a command to copy; the key stays here. */
export function curl(request) {
  const body = JSON.stringify({ requests: [request] }).replaceAll("'", "'\\''");
  const bearer = key.get() ? " -H 'Authorization: Bearer …'" : "";
  return `curl -X POST ${location.origin}/match -H 'Content-Type: application/json'${bearer} -d '${body}'`;
}

const post = (path, body) => call(path, sending(body));

function sending(body, signal) {
  return { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" }, signal };
}

function query(wanted) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(wanted)) {
    for (const one of [value].flat()) if (one !== null && one !== undefined) parameters.append(name, one);
  }
  return parameters;
}

async function call(path, options) {
  return (await respond(path, options)).json();
}

async function respond(path, options = {}) {
  const headers = { ...options.headers };
  if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "Unreachable", "the service does not answer; is it running?");
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Problem(response.status, problem.title ?? response.statusText, problem.detail ?? "no details were given");
}

/** `history;dur=0.3, encode;dur=0.9` → [["history", 0.3], ["encode", 0.9]] */
function stagesOf(header) {
  const entries = header.split(",").map((entry) => entry.trim().match(/^([\w-]+);dur=([\d.]+)/));
  return entries.filter(Boolean).map(([, name, milliseconds]) => [name, Number(milliseconds)]);
}
