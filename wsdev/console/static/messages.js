// What a device said and was told, the newest first, growing as it comes.

import { ask } from "./api.js";
import { h, section } from "./dom.js";
import { bytes, duration, joined, moment, printable } from "./format.js";
import { t } from "./texts.js";

const FIRST = 60;
const MOST = 300;
const MOST_TEXT = 2000;
const SHORT = 140;

function words(entry) {
  if (entry.kind === "message") {
    if (entry.body === null) return t("binary", { size: bytes(entry.size) });
    return printable(entry.body, MOST_TEXT);
  }
  if (entry.kind === "command") {
    return joined([entry.state, entry.body, entry.reason, entry.detail], " · ");
  }
  if (entry.event === "disconnected") {
    return joined([entry.cause, entry.reason,
      entry.seconds === null ? "" : duration(entry.seconds)], " · ");
  }
  return joined([entry.address, entry.user_agent], " · ");
}

function arrow(entry) {
  if (entry.kind !== "message") return ["·", ""];
  return entry.direction === "in" ? ["←", t("from_device")] : ["→", t("to_device")];
}

function makeLine(entry) {
  const text = words(entry);
  const [sign, meaning] = arrow(entry);
  const body = text.length > SHORT
    ? h("details", h("summary", h("code", `${text.slice(0, SHORT)}…`)),
      h("code.whole", text))
    : h("code", text);
  return h(
    "li", { "data-kind": entry.kind, "data-event": printable(entry.event, 24) },
    h("time", { datetime: entry.time }, moment(entry.time)),
    h("span.way", { "aria-hidden": "true" }, sign),
    h("span.vh", meaning),
    h("span.event", h("bdi", printable(entry.event, 40))),
    h("div.text", { dir: "auto" }, body),
  );
}

/** The messages of a device; returns the element and its end. */
export function makeMessages(name) {
  const list = h("ol.messages", { tabindex: "0", "aria-label": t("messages") });
  const empty = h("p.empty", t("asking"));
  const query = `device=${encodeURIComponent(name)}`;
  let source = null;
  let timer = 0;
  let reached = 0;
  let waiting = [];
  let frame = 0;
  let ended = false;

  const draw = () => {
    frame = 0;
    const lines = waiting.slice(-MOST).map(makeLine).reverse();
    waiting = [];
    list.prepend(...lines);
    while (list.childElementCount > MOST) list.lastElementChild.remove();
    empty.hidden = list.childElementCount > 0;
    empty.textContent = t("no_messages");
  };
  const take = (entry) => {
    if (entry.sequence <= reached) return;
    reached = entry.sequence;
    waiting.push(entry);
    // A page that is not seen has no frames: what comes meanwhile stays bounded.
    if (waiting.length > MOST) waiting = waiting.slice(-MOST);
    frame ||= requestAnimationFrame(draw);
  };
  const listen = () => {
    if (source) source.close();
    source = new EventSource(`/api/events?${query}&after=${reached}`);
    const took = (event) => take(JSON.parse(event.data));
    for (const kind of ["message", "connected", "disconnected", "command"]) {
      source.addEventListener(kind, took);
    }
    source.addEventListener("reset", () => { reached = 0; });
    source.onerror = () => {
      source.close();
      clearTimeout(timer);
      timer = setTimeout(begin, 2000);
    };
  };
  const begin = async () => {
    try {
      if (!reached) {
        const page = await ask(`/api/journal?${query}&limit=${FIRST}`);
        page.entries.forEach(take);
        reached = Math.max(reached, page.after);
        draw();
      }
      if (!ended) listen();
    } catch {
      if (!ended) timer = setTimeout(begin, 2000);
    }
  };
  begin();
  return {
    element: section(t("messages"), empty, list),
    end() {
      ended = true;
      clearTimeout(timer);
      cancelAnimationFrame(frame);
      if (source) source.close();
    },
  };
}
