// Commands to a device: forms for what it is, and the outcome of each as it comes.

import { ask, devicePath } from "./api.js";
import { h, setAttribute, setText } from "./dom.js";
import {
  duration, joined, milliseconds, moment, number, printable, problemText,
} from "./format.js";
import { isCamera } from "./cameras.js";
import { on } from "./store.js";
import { t } from "./texts.js";

const OPEN = new Set(["queued", "sent"]);
const MOST_SHOWN = 50;

/** What was sent in this visit, by device: it stays when one comes back to the device's page. */
const sent = new Map();

function slider(name, label, least, most, value) {
  const id = `slider-${name}`;
  const output = h("output", { for: id }, number(value));
  const input = h("input", { type: "range", id, name, min: least, max: most, value,
    oninput: () => setText(output, number(input.value)) });
  return h("div.slider", h("label", { for: id }, label), input, output);
}

function card(title, button, submitted, ...fields) {
  const form = h("form.card", { "aria-label": title }, h("h3", title), ...fields,
    h("div.actions", h("button", button)));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submitted(form.elements);
  });
  return form;
}

function servoForm(send) {
  return card(
    t("servos"), t("move"),
    ({ servo1, servo2 }) => send({
      type: "servo",
      command: { servo1: Number(servo1.value), servo2: Number(servo2.value) },
      source: "console",
    }),
    slider("servo1", t("servo", { n: number(1) }), 0, 180, 90),
    slider("servo2", t("servo", { n: number(2) }), 0, 180, 90),
  );
}

function captureForm(send) {
  return card(
    t("capture"), t("take_picture"),
    ({ quality, intensity, flash }) => send({
      action: "capture_photo",
      quality: Number(quality.value),
      flash: flash.checked,
      ...(flash.checked ? { intensity: Number(intensity.value) } : {}),
    }),
    slider("quality", t("quality"), 4, 63, 10),
    slider("intensity", t("flash_intensity"), 0, 255, 128),
    h("label.check", h("input", { type: "checkbox", name: "flash" }), t("flash")),
  );
}

function jsonForm(send) {
  const error = h("p.error", { id: "json-error", role: "alert" });
  const area = h("textarea", { name: "json", rows: "3", spellcheck: "false", dir: "ltr",
    autocapitalize: "off", "aria-label": t("json"), "aria-describedby": "json-error" });
  area.value = '{"name": "blink", "args": {"times": 3}}';
  const submitted = () => {
    let command = null;
    try {
      command = JSON.parse(area.value);
    } catch (fault) {
      setText(error, t("not_json", { why: fault.message }));
    }
    const isObject = command !== null && typeof command === "object" && !Array.isArray(command);
    if (command !== null && !isObject) setText(error, t("not_object"));
    setAttribute(area, "aria-invalid", String(!isObject));
    if (!isObject) return area.focus();
    setText(error, "");
    return send(command);
  };
  return card(t("any_command"), t("send"), submitted, area, error);
}

function waitingChoice() {
  const select = h("select", h("option", { value: "" }, t("queue_no")),
    [600, 3600, 86400].map((value) =>
      h("option", { value }, t("queue_for", { time: duration(value) }))));
  return [h("label.queue", t("if_away"), select), select];
}

const STEPS = ["queued", "sent", "over"];

/** One command and how far it is. */
class Outcome {
  constructor(device, command) {
    this.device = device;
    this.started = performance.now();
    this.record = { state: "queued", asked: Date.now() / 1000 };
    this.problem = null;
    this.steps = STEPS.map(() => h("li"));
    this.detail = h("p.detail");
    this.cancel = h("button.quiet.small", { hidden: true,
      onclick: () => this.withdraw() }, t("withdraw"));
    this.element = h(
      "li.outcome",
      h("div.what",
        h("time", moment(Date.now() / 1000)),
        h("code", { dir: "ltr" }, printable(JSON.stringify(command), 160)), this.cancel),
      h("ol.steps", ...this.steps), this.detail,
    );
    this.show();
  }

  async send(command, queueFor) {
    const body = { command, timeout: 10 };
    if (queueFor) Object.assign(body, { queue: true, queue_for: Number(queueFor) });
    try {
      this.take(await ask(devicePath(this.device, "/commands?wait=0"), { method: "POST", body }));
    } catch (problem) {
      this.problem = problem;
      this.show();
      return;
    }
    await this.watch();
  }

  async watch() {
    let pause = 150;
    while (OPEN.has(this.record.state) && !this.problem) {
      await new Promise((resolve) => { this.wake = resolve; setTimeout(resolve, pause); });
      pause = Math.min(3000, pause * 1.5);
      try {
        this.take(await ask(`/api/commands/${encodeURIComponent(this.record.id)}`));
      } catch (problem) {
        if (problem.status) this.problem = problem; // else the gateway comes back, and knows it
      }
      this.show();
    }
  }

  async withdraw() {
    try {
      await ask(`/api/commands/${encodeURIComponent(this.record.id)}`, { method: "DELETE" });
    } catch { /* it was too late: its state says so */ }
    if (this.wake) this.wake();
  }

  take(record) {
    this.record = record;
    this.show();
  }

  show() {
    const { state } = this.record;
    const over = !OPEN.has(state);
    const refused = this.problem !== null;
    const wasSent = over ? this.record.sent !== null : state === "sent";
    const last = refused ? "refused" : over ? state : "";
    setAttribute(this.element, "data-state", refused ? "failed" : state);
    setText(this.steps[0], t("cmd_queued"));
    setText(this.steps[1], t("cmd_sent"));
    setText(this.steps[2], last ? t(`cmd_${last}`) : "…");
    this.steps[0].className = "done";
    this.steps[0].hidden = this.steps[1].hidden = refused;
    this.steps[1].className = wasSent && !refused ? "done" : "";
    this.steps[2].className = last && "last";
    this.cancel.hidden = state !== "queued" || refused || !this.record.id;
    setText(this.detail, this.words());
  }

  words() {
    if (this.problem) return problemWords(this.problem);
    const { record } = this;
    const { sent: from, ended: to, reason, detail } = record;
    const said = joined(
      [reason, typeof detail === "string" ? detail : detail && JSON.stringify(detail)], " · ");
    return [from && to && milliseconds(to - from), said].filter(Boolean).join(" · ");
  }
}

function problemWords(problem) {
  if (problem.code === "offline") {
    const { offline_since: since, last_seen: seen } = problem.body;
    return since === null || seen === null ? t("offline_now") : t("offline_since", {
      time: moment(since), age: duration(Date.now() / 1000 - seen),
    });
  }
  return problemText(problem);
}

/** The forms and outcomes for a device; returns the element and its end. */
export function makeCommands(name, device) {
  if (!sent.has(name)) sent.set(name, []);
  const outcomes = sent.get(name);
  const list = h("ol.outcomes", { "aria-label": t("outcomes"), "aria-live": "polite" },
    ...outcomes.map((outcome) => outcome.element));
  const [queue, queueSelect] = waitingChoice();
  const send = (command) => {
    const outcome = new Outcome(name, command);
    outcomes.unshift(outcome);
    list.prepend(outcome.element);
    for (const old of outcomes.splice(MOST_SHOWN)) old.element.remove();
    outcome.send(command, queueSelect.value);
  };
  const forms = h("div.forms");
  if (device.class === "pico") forms.append(servoForm(send));
  if (isCamera(device)) forms.append(captureForm(send));
  forms.append(jsonForm(send));
  const end = on("event", (kind, event) => {
    if (kind !== "command") return;
    const found = outcomes.find((outcome) => outcome.record.id === event.id);
    if (found && found.wake) found.wake();
  });
  const element = h("section", { "aria-label": t("commands") },
    h("div.title", h("h2", t("commands")), queue),
    forms, list);
  return { element, end };
}
