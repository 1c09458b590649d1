// The console's API: every request of the page goes through here.

const PATIENCE = 15000;

/** Why something was not served; `status` is 0 if the gateway was not reached. */
export class Problem extends Error {
  constructor(status, body = {}) {
    super(body.detail || "");
    this.status = status;
    this.code = body.code || "unreachable";
    this.hint = body.hint || "";
    this.body = body;
  }
}

const watchers = { reached: () => {}, unreached: () => {}, locked: () => {} };

/** Be told whether the gateway is reached, and when it wants a login. */
export function watchRequests(given) {
  Object.assign(watchers, given);
}

/** Ask for something; returns the answer's JSON, its text, or null if it has none. */
export async function ask(path, { method = "GET", body, patience = PATIENCE } = {}) {
  const headers = { "X-Wsdev": "1" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer, text;
  try {
    answer = await fetch(path, {
      method, headers, cache: "no-store",
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(patience),
    });
    text = await answer.text();
  } catch {
    watchers.unreached();
    throw new Problem(0);
  }
  watchers.reached();
  const isJson = /json/.test(answer.headers.get("content-type") || "");
  const content = isJson ? JSON.parse(text) : text;
  if (answer.ok || path === "/healthz") return content || null;
  const problem = new Problem(answer.status, isJson ? content : {});
  if (answer.status === 401 && path !== "/login") watchers.locked(problem);
  throw problem;
}

export function devicePath(name, rest = "") {
  return `/api/devices/${encodeURIComponent(name)}${rest}`;
}
