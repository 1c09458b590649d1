// How the gateway is, in one line: what is counted, and whether we hear from it.

import { ask } from "./api.js";
import { byId, h, setAttribute, setText } from "./dom.js";
import { bytes, milliseconds, number, printable } from "./format.js";
import { on } from "./store.js";
import { t } from "./texts.js";

const EVERY = 3000;
const DISK_EVERY = 10;
const FIGURES = ["connections", "rate", "commit", "waiting", "disk", "journal"];

/** Sums of a Prometheus text by name, over all labels. */
export function parseMetrics(text) {
  const sums = new Map();
  for (const line of text.split("\n")) {
    if (!line || line[0] === "#") continue;
    const name = line.slice(0, line.search(/[ {]/));
    if (name.endsWith("_bucket")) continue;
    const value = Number(line.slice(line.lastIndexOf(" ") + 1));
    sums.set(name, (sums.get(name) || 0) + value);
  }
  return sums;
}

export class Strip {
  constructor() {
    this.values = {};
    this.before = null;
    this.looks = 0;
    this.timer = 0;
    this.running = false;
    on("live", (state) => this.showLive(state));
  }

  /** Write it anew, in the page's language. */
  draw(state) {
    const list = h("dl.figures", FIGURES.map((name) => {
      this.values[name] = h("dd", "–");
      return h("div", { "data-figure": name }, h("dt", t(`figure_${name}`)),
        this.values[name]);
    }));
    byId("figures").replaceChildren(list);
    this.showLive(state, true);
    this.looks = 0;
    if (this.running) this.look();
  }

  showLive(state, silently = false) {
    const pill = byId("live");
    setAttribute(pill, "data-state", state);
    setText(pill.lastElementChild, t(`live_${state}`));
    const banner = byId("banner");
    banner.hidden = state !== "lost";
    setText(banner, state === "lost" ? t("lost") : "");
    if (!silently && state === "live" && this.wasLost) setText(byId("said"), t("back_again"));
    this.wasLost = state === "lost";
  }

  follow(whether) {
    this.running = whether;
    clearTimeout(this.timer);
    if (whether) this.look();
  }

  async look() {
    clearTimeout(this.timer);
    if (!document.hidden) {
      try {
        const [text, health] = await Promise.all([ask("/metrics"), ask("/healthz")]);
        this.show(parseMetrics(text), health, performance.now());
        if (this.looks % DISK_EVERY === 0) this.showDisk(await ask("/api/disk"));
        this.looks += 1;
      } catch {
        this.before = null;
      }
    }
    if (this.running) this.timer = setTimeout(() => this.look(), this.looks < 3 ? EVERY / 3 : EVERY);
  }

  showDisk(told) {
    setText(this.values.disk, t("disk_of", { used: bytes(told.journal_bytes),
      free: bytes(told.free_bytes) }));
  }

  show(sums, health, at) {
    const get = (name) => sums.get(name) || 0;
    const now = {
      at, messages: get("wsdev_messages_total"),
      commits: get("wsdev_journal_commit_seconds_count"),
      spent: get("wsdev_journal_commit_seconds_sum"),
    };
    const { before, values } = this;
    this.before = now;
    setText(values.connections, number(get("wsdev_connected_devices")));
    setText(values.waiting, number(get("wsdev_journal_queue_rows")));
    const isWell = health.status === "ok";
    setText(values.journal, isWell ? t("well") : printable(health.reason || health.status, 80));
    setAttribute(values.journal, "data-state", isWell ? "ok" : "bad");
    if (!before || now.messages < before.messages) return;
    const rate = (now.messages - before.messages) / ((at - before.at) / 1000);
    setText(values.rate, number(rate, rate < 10 ? 1 : 0));
    const commits = now.commits - before.commits;
    if (commits > 0) setText(values.commit, milliseconds((now.spent - before.spent) / commits));
  }
}
