// At the door: who was refused or cut off, why, and what to do about it.

import { ask } from "./api.js";
import { h, setText } from "./dom.js";
import { moment, number, printable } from "./format.js";
import { on } from "./store.js";
import { language, t } from "./texts.js";

const SOONEST = 1000;
const JOINER = "\u200c"; // within words of Persian

function values(tally) {
  const texts = tally.values.map(({ value }) => value).filter(Boolean);
  return texts.map((text) => printable(text, 120));
}

function detail(label, texts) {
  if (!texts.length) return null;
  return h("div", h("dt", label),
    h("dd", texts.map((text, i) => [i ? ", " : "", h("bdi", text)]).flat()));
}

/** A text of the gateway's, in which code stands in backticks. */
function withCode(text) {
  const clean = text.split(JOINER).map((part) => printable(part, 500)).join(JOINER);
  return clean.split("`").map((part, i) => (i % 2 ? h("code", { dir: "ltr" }, part) : part));
}

function makeCause(group) {
  const tails = values(group.token_tails).map((tail) => `…${tail}`);
  return h(
    "li.cause", { "data-code": printable(group.code, 40) },
    h("div.line",
      h("strong", { dir: "auto" }, withCode(group.message ?? group.code)),
      h("span.count", t("times", { n: number(group.count) })),
      h("span.when", moment(group.last))),
    group.fix ? h("p.fix", h("span.label", t("fix")),
      withCode(group.fix)) : null,
    h("dl", detail(t("paths"), values(group.paths)),
      detail(t("devices"), values(group.devices)), detail(t("col_token"), tails),
      detail(t("agents"), values(group.user_agents)), detail(t("via"), values(group.vias))),
  );
}

function makeAddress(address, groups) {
  const count = groups.reduce((sum, group) => sum + group.count, 0);
  return h(
    "section.address", { "aria-label": printable(address, 64) },
    h("h2", h("bdi", printable(address, 64)),
      h("span.count", t("times", { n: number(count) }))),
    h("ul", groups.map(makeCause)),
  );
}

function byAddress(groups) {
  const found = new Map();
  for (const group of groups) {
    if (!found.has(group.address)) found.set(group.address, []);
    found.get(group.address).push(group);
  }
  return found;
}

/** The page of refusals; returns how to end it. */
export function showDoor(main) {
  const list = h("div.door");
  const summary = h("p.summary");
  const empty = h("p.empty", t("asking"));
  let timer = 0;
  let ended = false;
  const update = async () => {
    clearTimeout(timer);
    timer = 0;
    try {
      const report = await ask(`/api/refusals?since=24h&sort=last&limit=200&lang=${language}`);
      if (ended) return;
      const groups = byAddress(report.groups);
      list.replaceChildren(...[...groups].map(([address, all]) => makeAddress(address, all)));
      setText(summary, groups.size
        ? t("door_summary", { n: number(report.count), from: number(groups.size) }) : "");
      setText(empty, t("door_empty"));
      empty.hidden = groups.size > 0;
    } catch { /* the connection's state tells of it */ }
  };
  main.append(h("div.title", h("h1", t("door")), summary), empty, list);
  update();
  const soon = (kind) => {
    if (kind === "refusal" || kind === "disconnected") timer ||= setTimeout(update, SOONEST);
  };
  const ends = [on("event", soon), on("reopened", update)];
  return () => {
    ended = true;
    clearTimeout(timer);
    ends.forEach((end) => end());
  };
}
