// The token book: make, rotate, revoke, and the window in which tokens are handed out.

import { ask } from "./api.js";
import { asked, confirmed, h, setText, table } from "./dom.js";
import { countdown, duration, moment, printable, problemText } from "./format.js";
import { devices, on } from "./store.js";
import { t } from "./texts.js";

const WINDOW = 600;
const GRACE = 3600;

/** A new token, this once; it leaves the page with the dialog. */
async function showNew(made) {
  const text = h("input.secret", { readonly: true, value: made.token, dir: "ltr",
    spellcheck: "false", autocomplete: "off", "aria-label": t("new_token") });
  const said = h("span", { role: "status" });
  const copy = h("button", { type: "button", autofocus: true, onclick: async () => {
    text.select();
    try {
      await navigator.clipboard.writeText(made.token);
      setText(said, t("copied"));
    } catch {
      setText(said, t("copy_yourself"));
    }
  } }, t("copy"));
  await asked(t("new_token_for", { name: label(made) }), h("p", t("shown_once")),
    h("div.copying", text, copy), said,
    h("div.actions", h("button.quiet", t("done"))));
  text.value = "";
}

function label(token) {
  return printable(token.name ? `${token.name} (${token.class})` : token.class, 80);
}

function kindText(token) {
  return t(`token_${token.kind}`, {}, printable(token.kind, 24));
}

function stateTextOf(token) {
  if (token.state !== "retiring") return t(`token_state_${token.state}`);
  return t("token_state_retiring", {
    time: duration(Math.max(0, token.retires - Date.now() / 1000)),
  });
}

class Page {
  constructor(main) {
    this.ended = false;
    this.closes = 0;
    this.error = h("p.error", { role: "alert" });
    const columns = ["for", "kind", "state", "ending", "created", "do"];
    const [list, body] = table(t("tokens"), columns.map((name) => t(`col_${name}`)));
    list.classList.add("tokens");
    this.body = body;
    this.window = h("p.window");
    const button = (text, request) => h("button.quiet",
      { onclick: () => this.change(() => ask("/api/tokens/window", request)) }, text);
    this.open = button(t("window_open", { time: duration(WINDOW) }),
      { method: "POST", body: { seconds: WINDOW } });
    this.close = button(t("window_close"), { method: "DELETE" });
    this.classes = h("datalist", { id: "classes" });
    main.append(
      h("div.title", h("h1", t("tokens"))),
      h("section.card.handing", { "aria-label": t("window") },
        h("h2", t("window")), this.window,
        h("div.actions", this.open, this.close)),
      this.form(), this.error, list,
    );
    this.update();
    this.ends = [on("second", () => this.tick()), on("reopened", () => this.update())];
  }

  end() {
    this.ended = true;
    this.ends.forEach((end) => end());
  }

  form() {
    const form = h("form.card.create", { "aria-label": t("new_token") },
      h("h2", t("new_token")), this.classes,
      h("label", t("col_class"), h("input", { name: "class", required: true, list: "classes",
        value: "pico", size: "12", autocapitalize: "off", dir: "ltr" })),
      h("label", t("token_name"), h("input", { name: "name", size: "16", dir: "ltr",
        maxlength: "64", autocapitalize: "off",
        placeholder: t("token_any") })),
      h("button", t("create")));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const body = { class: form.elements.class.value.trim() };
      if (form.elements.name.value.trim()) body.name = form.elements.name.value.trim();
      this.change(async () => {
        showNew(await ask("/api/tokens", { method: "POST", body }));
        form.elements.name.value = "";
      });
    });
    return form;
  }

  async change(work) {
    setText(this.error, "");
    try {
      await work();
    } catch (problem) {
      setText(this.error, problemText(problem));
    }
    await this.update();
  }

  async update() {
    let told;
    try {
      told = await ask("/api/tokens");
    } catch {
      return;
    }
    if (this.ended) return;
    this.closes = performance.now() + told.window_seconds * 1000;
    const order = { active: 0, retiring: 1, retired: 2, revoked: 3 };
    const tokens = told.tokens.sort((a, b) => order[a.state] - order[b.state]);
    this.body.replaceChildren(...tokens.map((token) => this.row(token)));
    const names = new Set(["pico", "esp32cam", "operator"]);
    for (const token of tokens) names.add(token.class);
    for (const device of devices.values()) names.add(device.class);
    this.classes.replaceChildren(...[...names].map((name) => h("option", { value: name })));
    this.tick();
  }

  row(token) {
    const live = token.state === "active" || token.state === "retiring";
    const path = `/api/tokens/${encodeURIComponent(token.id)}`;
    const name = label(token);
    const button = (kind, does, why, work) => {
      const whole = t(`that_${does}`, { name });
      return h(`button.small.${kind}`, { "aria-label": whole,
        onclick: () => this.change(async () => {
          if (await confirmed(whole, why, t(does))) await work();
        }) }, t(does));
    };
    const why = t("rotate_why", { time: duration(GRACE) });
    const rotate = button("quiet", "rotate", why, async () => {
      showNew(await ask(`${path}/rotate`, { method: "POST", body: { grace: GRACE } }));
    });
    const revoke = button("danger", "revoke", t("revoke_why"),
      () => ask(path, { method: "DELETE" }));
    const cells = [
      h("bdi", name), kindText(token),
      h("span.chip", { "data-state": token.state }, stateTextOf(token)),
      h("code", { dir: "ltr" }, `…${printable(token.tail, 8)}`),
      moment(token.created),
      h("span.actions", token.state === "active" ? rotate : null,
        live ? revoke : null),
    ];
    return h("tr", { "data-token": token.id, "data-live": String(live) },
      cells.map((cell) => h("td", cell)));
  }

  tick() {
    const left = (this.closes - performance.now()) / 1000;
    const isOpen = left > 0;
    setText(this.window, isOpen ? t("window_is_open", { time: countdown(left) })
      : t("window_is_closed"));
    this.window.classList.toggle("open", isOpen);
    this.close.hidden = !isOpen;
  }
}

/** The page of tokens; returns how to end it. */
export function showTokens(main) {
  const page = new Page(main);
  return () => page.end();
}
