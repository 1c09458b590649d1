// What happens, as it happens: one stream of events that comes back by itself.

import { ask } from "./api.js";
import { emit } from "./store.js";

const KINDS = ["session", "refusal", "gateway", "command"];
const NAMES = ["connected", "disconnected", "renamed", "refusal", "gateway", "command", "reset"];
const HIDDEN_FOR = 30000;
const LONGEST = 8000;

/** `starting`, `live`, `lost`; what the strip at the top says. */
export let state = "starting";

let source = null;
let last = null;
let pause = 500;
let timer = 0;
let hiding = 0;
let wanted = false;

function become(next) {
  if (state === next) return;
  const before = state;
  state = next;
  emit("live", next, before);
}

export function reached() {
  if (state === "lost" && source && source.readyState === EventSource.OPEN) become("live");
}

export function unreached() {
  if (wanted) become("lost");
}

function open() {
  clearTimeout(timer);
  close();
  if (!wanted) return;
  const query = KINDS.map((kind) => `kind=${kind}`).join("&");
  source = new EventSource(`/api/events?${query}${last === null ? "" : `&after=${last}`}`);
  source.onopen = () => {
    pause = 500;
    become("live");
    emit("reopened");
  };
  source.onerror = () => {
    if (!wanted) return;
    become("lost");
    // A browser comes back by itself after some ends and not after others: here it is always us.
    close();
    timer = setTimeout(comeBack, pause);
    pause = Math.min(LONGEST, pause * 1.6);
  };
  for (const name of NAMES) {
    source.addEventListener(name, (event) => {
      if (event.lastEventId) last = Number(event.lastEventId);
      emit("event", name, JSON.parse(event.data));
    });
  }
  source.addEventListener("logout", () => comeBack());
}

/** Whether we may: a stream that is refused does not say why. */
async function comeBack() {
  try {
    await ask("/api/me");
    open();
  } catch (problem) {
    if (problem.status === 401) return; // the login form is there now
    timer = setTimeout(comeBack, pause);
    pause = Math.min(LONGEST, pause * 1.6);
  }
}

function close() {
  if (source) source.close();
  source = null;
}

/** Watch from now on, or no longer. */
export function follow(whether) {
  wanted = whether;
  pause = 500;
  if (whether) {
    open();
  } else {
    clearTimeout(timer);
    close();
    state = "starting";
  }
}

// A browser has six connections for one host: a page that nobody looks at gives its one back.
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(close, HIDDEN_FOR);
  else if (wanted && !source) comeBack();
});
