// All devices: who is there, since when, and how well the link works.

import { h, setAttribute, setText } from "./dom.js";
import { duration, milliseconds, number, orDash, printable } from "./format.js";
import { drawSpark, makeSpark } from "./spark.js";
import { counts, devices, on, proofAge } from "./store.js";
import { t } from "./texts.js";
import { VirtualList } from "./virtual.js";

const choice = { text: "", state: "", sort: "name" };

const collator = new Intl.Collator("en", { numeric: true });
const byName = (a, b) => collator.compare(a.name, b.name);

const ORDERS = {
  name: byName,
  proof: (a, b) => (proofAge(a) ?? Infinity) - (proofAge(b) ?? Infinity) || byName(a, b),
  trip: (a, b) => (b.round_trip ?? -1) - (a.round_trip ?? -1) || byName(a, b),
};

/** How fresh the proof of life is: a word for the colour, and for those who see none. */
export function stateWord(device) {
  if (device.state !== "online") return "offline";
  return proofAge(device) > 30 ? "silent" : "online";
}

export function stateText(word) {
  return { online: t("here"), silent: t("silent"), offline: t("away") }[word];
}

function makeRow() {
  const cell = (name) => h(`span.c-${name}`, { role: "cell" });
  const row = h("div.row", { role: "row" });
  const name = cell("name");
  name.append(
    h("span.dot"),
    h("a", { dir: "auto" }),
    h("span.vh"),
  );
  const trip = cell("trip");
  trip.append(h("span.value"), makeSpark());
  row.append(
    name, cell("class"), cell("proof"), trip, cell("address"), cell("traffic"), cell("version"),
  );
  return row;
}

function fillRow(row, device) {
  const [name, kind, proof, trip, address, traffic, version] = row.children;
  const word = stateWord(device);
  setAttribute(row, "data-state", word);
  const link = name.children[1];
  setAttribute(link, "href", `#/devices/${encodeURIComponent(device.name)}`);
  setText(link, printable(device.name, 80));
  setText(name.children[2], `, ${stateText(word)}`);
  setText(kind, printable(device.class, 24));
  const age = proofAge(device);
  setText(proof, age === null ? "" : word === "offline" ? t("gone_for", { age: duration(age) })
    : duration(age));
  const known = device.state === "online" && device.round_trip !== null;
  setText(trip.firstChild, known ? milliseconds(device.round_trip) : "–");
  drawSpark(trip.children[1], known ? device.trips : []);
  setText(address, printable(device.address, 46));
  setText(traffic, orDash(device.traffic, (told) => number(told.messages_in)));
  setText(version, printable(device.version ?? "", 40));
}

function chosen() {
  const text = choice.text.trim().toLowerCase();
  return [...devices.values()]
    .filter((device) => (!choice.state || device.state === choice.state)
      && (!text || `${device.name} ${device.class} ${device.address}`.toLowerCase().includes(text)))
    .sort(ORDERS[choice.sort]);
}

function filters(changed) {
  const option = (name, value, text) =>
    h("option", { value, selected: choice[name] === value }, text);
  const select = (name, label, options) => h(
    "label", h("span.vh", label),
    h("select", { onchange: (event) => { choice[name] = event.target.value; changed(); } },
      ...options),
  );
  return h(
    "div.filters", { role: "search", "aria-label": t("filter_devices") },
    h("label.grow", h("span.vh", t("search")),
      h("input", { type: "search", placeholder: t("search"), value: choice.text,
        oninput: (event) => { choice.text = event.target.value; changed(); } })),
    select("state", t("col_state"), [option("state", "", t("all")),
      option("state", "online", t("here")), option("state", "offline", t("away"))]),
    select("sort", t("order"), [option("sort", "name", t("by_name")),
      option("sort", "proof", t("by_proof")), option("sort", "trip", t("by_trip"))]),
  );
}

function heading() {
  const names = ["name", "class", "proof", "trip", "address", "traffic", "version"];
  return h("div.head", { role: "rowgroup" }, h(
    "div.row", { role: "row", "aria-rowindex": "1" },
    names.map((name) => h(`span.c-${name}`, { role: "columnheader" }, t(`col_${name}`))),
  ));
}

/** The page of all devices; returns how to end it. */
export function showDevices(main) {
  const body = h("div.body", { role: "rowgroup" });
  const table = h("div.devices", { role: "table", "aria-label": t("devices") },
    heading(), body);
  const empty = h("p.empty", { hidden: true });
  const summary = h("p.summary");
  const list = new VirtualList(body, { make: makeRow, fill: fillRow, key: (item) => item.name });
  const update = () => {
    const items = chosen();
    list.setItems(items);
    setAttribute(table, "aria-rowcount", String(items.length + 1));
    table.hidden = !items.length;
    empty.hidden = Boolean(items.length);
    setText(empty, !counts.known ? t("asking") : devices.size ? t("none_fits") : t("none_yet"));
    setText(summary, counts.known
      ? t("summary", { online: number(counts.online), offline: number(counts.offline) }) : "");
  };
  main.append(
    h("div.title", h("h1", t("devices")), summary),
    filters(update), table, empty,
  );
  update();
  const ends = [on("devices", update), on("second", () => list.draw())];
  return () => { ends.forEach((end) => end()); list.end(); };
}
