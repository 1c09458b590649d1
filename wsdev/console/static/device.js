// One device: how it is, what it shows, what it was told and said.

import { ask, devicePath } from "./api.js";
import { isCamera, makeStream } from "./cameras.js";
import { makeCommands } from "./commands.js";
import { stateText, stateWord } from "./devices.js";
import { confirmed, h, setAttribute, setText } from "./dom.js";
import { bytes, duration, joined, milliseconds, moment, number, printable } from "./format.js";
import { makeMessages } from "./messages.js";
import { drawSpark, makeSpark } from "./spark.js";
import { counts, devices, keepOne, on, proofAge, refreshSoon } from "./store.js";
import { t } from "./texts.js";

const PING_EVERY = 2000;
const FACTS = ["proof", "trip", "since", "address", "traffic", "version", "token", "session"];

function traffic(told) {
  return told ? t("traffic", {
    in: number(told.messages_in), bytes_in: bytes(told.bytes_in),
    out: number(told.messages_out), bytes_out: bytes(told.bytes_out),
  }) : "–";
}

function factTexts(device) {
  const age = proofAge(device);
  return {
    proof: age === null ? "–" : t("ago", { age: duration(age) }),
    trip: device.round_trip === null ? "–" : milliseconds(device.round_trip),
    since: device.connected_since === null ? "–" : moment(new Date(device.connected_since * 1000)),
    address: printable(device.address, 64),
    traffic: traffic(device.traffic),
    version: printable(device.version ?? "–", 64),
    token: t(`token_${device.token_kind}`),
    session: printable(device.session ?? "–", 64),
  };
}

function makeFacts() {
  const values = {};
  const spark = makeSpark("large");
  const list = h("dl", { class: "facts" }, FACTS.map((name) => {
    values[name] = h("dd", {}, h("bdi", {}));
    if (name === "trip") values[name].append(spark);
    return h("div", {}, h("dt", {}, t(`col_${name}`)), values[name]);
  }));
  const update = (device) => {
    const texts = factTexts(device);
    for (const name of FACTS) setText(values[name].firstChild, texts[name]);
    drawSpark(spark, device.state === "online" ? device.trips : []);
  };
  return [list, update];
}

function linkRow(link) {
  const end = link.ended === null ? t("goes_on")
    : joined([link.cause || link.close_code, link.reason], " · ");
  const cells = [
    moment(new Date(link.started * 1000)),
    link.seconds === null ? "–" : duration(link.seconds),
    printable(link.address, 64),
    link.traffic ? number(link.traffic.messages_in) : "–",
    link.median_round_trip === null ? "–" : milliseconds(link.median_round_trip),
    end,
  ];
  return h("tr", {}, cells.map((cell) => h("td", {}, h("bdi", {}, cell))));
}

function makeLinks() {
  const body = h("tbody", {});
  const columns = ["started", "lasted", "address", "traffic", "trip", "end"];
  const element = h("section", { "aria-labelledby": "links-title" },
    h("h2", { id: "links-title" }, t("links")),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("links") },
      h("table", {}, h("thead", {}, h("tr", {},
        columns.map((name) => h("th", { scope: "col" }, t(`col_${name}`))))), body)));
  return [element, (links) => body.replaceChildren(...links.map(linkRow))];
}

function disconnectButton(name) {
  return h("button", { class: "quiet", onclick: async () => {
    const sure = await confirmed(t("disconnect_ask", { name: printable(name, 64) }),
      t("disconnect_why"), t("disconnect"), t("cancel"));
    if (!sure) return;
    await ask(devicePath(name, "/disconnect"), { method: "POST", body: {} }).catch(() => {});
  } }, t("disconnect"));
}

/** The page of one device; returns how to end it. */
export function showDevice(main, name) {
  const ends = [];
  const chip = h("span", { class: "chip" });
  const disconnect = disconnectButton(name);
  const [facts, updateFacts] = makeFacts();
  const [links, updateLinks] = makeLinks();
  const content = h("div", { class: "device" });
  const empty = h("p", { class: "empty" }, t("asking"));
  let session;
  let filled = false;
  let ended = false;

  const fill = (device) => {
    filled = true;
    empty.hidden = true;
    const commands = makeCommands(name, device);
    const messages = makeMessages(name);
    ends.push(commands.end, messages.end);
    if (isCamera(device)) {
      const stream = makeStream(name);
      ends.push(stream.end);
      content.append(h("div", { class: "two" }, stream.element, facts));
    } else {
      content.append(facts);
    }
    content.append(commands.element, messages.element, links);
  };
  const update = () => {
    const device = devices.get(name);
    if (!device) {
      if (counts.known && !filled) setText(empty, t("unknown_device"));
      return;
    }
    if (!filled) fill(device);
    const word = stateWord(device);
    setAttribute(chip, "data-state", word);
    setText(chip, stateText(word));
    disconnect.hidden = device.state !== "online";
    updateFacts(device);
    if (device.session !== session) {
      session = device.session;
      askLinks();
    }
  };
  const askLinks = async () => {
    try {
      const { links: told, ...device } = await ask(devicePath(name));
      if (ended) return;
      updateLinks(told);
      if (!devices.has(name)) keepOne(device);
    } catch { /* the list says whether there is such a device */ }
  };
  main.append(
    h("nav", { class: "back", "aria-label": t("up") }, h("a", { href: "#/" }, t("back"))),
    h("div", { class: "title" }, h("h1", {}, h("bdi", {}, printable(name, 80))), chip,
      h("span", { class: "grow" }), disconnect),
    empty, content,
  );
  update();
  // A device that talks is not pinged by the gateway: who looks at it wants its round trip.
  const look = () => {
    const device = devices.get(name);
    if (document.hidden || !device || device.state !== "online") return;
    ask(devicePath(name, "/ping"), { method: "POST" }).then(refreshSoon, () => {});
  };
  look();
  const ping = setInterval(look, PING_EVERY);
  ends.push(on("devices", update), on("second", update), () => clearInterval(ping));
  return () => {
    ended = true;
    ends.forEach((end) => end());
  };
}
