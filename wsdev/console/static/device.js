// One device: how it is, what it shows, what it was told and said.

import { ask, devicePath } from "./api.js";
import { isCamera, makeStream } from "./cameras.js";
import { makeCommands } from "./commands.js";
import { stateText, stateWord } from "./devices.js";
import { confirmed, h, section, setAttribute, setText, table } from "./dom.js";
import {
  bytes, duration, joined, milliseconds, moment, number, orDash, printable,
} from "./format.js";
import { makeMessages } from "./messages.js";
import { drawSpark, makeSpark } from "./spark.js";
import { counts, devices, keepOne, on, proofAge, refreshSoon } from "./store.js";
import { t } from "./texts.js";

const PING_EVERY = 2000;
const FACTS = ["proof", "trip", "since", "address", "traffic", "version", "token", "session"];

function traffic(told) {
  return t("traffic", {
    in: number(told.messages_in), bytes_in: bytes(told.bytes_in),
    out: number(told.messages_out), bytes_out: bytes(told.bytes_out),
  });
}

function factTexts(device) {
  return {
    proof: orDash(proofAge(device), (age) => t("ago", { age: duration(age) })),
    trip: orDash(device.round_trip, milliseconds),
    since: orDash(device.connected_since, moment),
    address: printable(device.address, 64),
    traffic: orDash(device.traffic, traffic),
    version: orDash(device.version, printable),
    token: t(`token_${device.token_kind}`),
    session: orDash(device.session, printable),
  };
}

function makeFacts() {
  const values = {};
  const spark = makeSpark();
  const list = h("dl.facts", FACTS.map((name) => {
    values[name] = h("dd", h("bdi"));
    if (name === "trip") values[name].append(spark);
    return h("div", h("dt", t(`col_${name}`)), values[name]);
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
    moment(link.started),
    orDash(link.seconds, duration),
    printable(link.address, 64),
    orDash(link.traffic, (told) => number(told.messages_in)),
    orDash(link.median_round_trip, milliseconds),
    end,
  ];
  return h("tr", cells.map((cell) => h("td", h("bdi", cell))));
}

function makeLinks() {
  const columns = ["started", "lasted", "address", "traffic", "trip", "end"];
  const [element, body] = table(t("links"), columns.map((name) => t(`col_${name}`)));
  return [section(t("links"), element), (links) => body.replaceChildren(...links.map(linkRow))];
}

function disconnectButton(name) {
  return h("button.quiet", { onclick: async () => {
    const sure = await confirmed(t("disconnect_ask", { name: printable(name, 64) }),
      t("disconnect_why"), t("disconnect"));
    if (!sure) return;
    await ask(devicePath(name, "/disconnect"), { method: "POST", body: {} }).catch(() => {});
  } }, t("disconnect"));
}

/** The page of one device; returns how to end it. */
export function showDevice(main, name) {
  const ends = [];
  const chip = h("span.chip");
  const disconnect = disconnectButton(name);
  const [facts, updateFacts] = makeFacts();
  const [links, updateLinks] = makeLinks();
  const content = h("div.device");
  const empty = h("p.empty", t("asking"));
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
      content.append(h("div.two", stream.element, facts));
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
    h("nav.back", { "aria-label": t("up") }, h("a", { href: "#/" }, t("back"))),
    h("div.title", h("h1", h("bdi", printable(name, 80))), chip,
      h("span.grow"), disconnect),
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
