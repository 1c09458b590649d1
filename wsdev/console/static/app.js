// The page: which part of it is shown, in which language and colours, and to whom.

import { ask, watchRequests } from "./api.js";
import { showCameras } from "./cameras.js";
import { showDevice } from "./device.js";
import { showDevices } from "./devices.js";
import { byId, h, setAttribute, setText } from "./dom.js";
import { showDoor } from "./door.js";
import { number } from "./format.js";
import * as live from "./live.js";
import { showLogin } from "./login.js";
import * as store from "./store.js";
import { Strip } from "./strip.js";
import { LANGUAGES, language, setLanguage, t } from "./texts.js";
import { showTokens } from "./tokens.js";

const VIEWS = { "": showDevices, cameras: showCameras, door: showDoor, tokens: showTokens };
const THEMES = ["auto", "light", "dark"];

const strip = new Strip();
let endView = null;
let isIn = false;
let version = null;
let atDoor = 0;

function kept(name, otherwise) {
  try {
    return localStorage.getItem(name) ?? otherwise;
  } catch {
    return otherwise; // a browser may forbid it
  }
}

function keep(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch { /* then it holds for this visit */ }
}

function route() {
  const [first = "", second = ""] = location.hash.replace(/^#\/?/, "").split("/");
  if (first === "devices" && second) {
    try {
      return ["", (main) => showDevice(main, decodeURIComponent(second))];
    } catch { /* not one of our addresses */ }
  }
  return first in VIEWS ? [first, VIEWS[first]] : ["", VIEWS[""]];
}

function clear() {
  if (endView) endView();
  endView = null;
  const main = byId("main");
  main.replaceChildren();
  return main;
}

/** Show what the address names; the focus goes there if a link was followed. */
function show({ moved = false } = {}) {
  if (!isIn) return;
  const [name, view] = route();
  const main = clear();
  if (name === "door") atDoor = 0;
  drawNavigation(name);
  endView = view(main) || null;
  const heading = main.querySelector("h1");
  document.title = `${heading ? heading.textContent : ""} · wsdev`;
  if (moved) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
}

function drawNavigation(current) {
  const nav = byId("nav");
  Object.keys(VIEWS).forEach((name, i) => {
    // keeps clicks
    const a = nav.children[i] || nav.appendChild(h("a", { href: `#/${name}` }));
    a.ariaCurrent = name === current ? "page" : null;
    a.replaceChildren(t(name || "devices"));
    if (name !== "door" || !atDoor) return;
    a.append(h("span.badge",
      number(atDoor), h("span.vh", t("new_ones"))));
  });
}

function drawShell() {
  const root = document.documentElement;
  root.lang = language;
  root.dir = LANGUAGES[language].dir;
  for (const element of document.querySelectorAll("[data-text]")) {
    setText(element, t(element.dataset.text));
  }
  for (const element of document.querySelectorAll("[data-label]")) {
    setAttribute(element, "aria-label", t(element.dataset.label));
  }
  const theme = root.dataset.theme;
  byId("theme").setAttribute("aria-label", t("theme_is", { theme: t(`theme_${theme}`) }));
  byId("theme").title = t(`theme_${theme}`);
  strip.draw(live.state);
  drawNavigation(route()[0]);
}

function redraw() {
  drawShell();
  if (isIn) show();
  else lock();
}

function lock() {
  isIn = false;
  store.follow(false);
  live.follow(false);
  strip.follow(false);
  document.body.dataset.in = "no";
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  showLogin(clear(), enter);
}

async function enter() {
  let who;
  try {
    who = await ask("/api/me");
  } catch (problem) {
    if (problem.status !== 401) setTimeout(enter, 1000); // a 401 has shown the login form
    return;
  }
  version = who.version;
  isIn = true;
  document.body.dataset.in = "yes";
  byId("logout").hidden = who.way === "local";
  store.follow(true);
  live.follow(true);
  strip.follow(true);
  show();
}

function begin() {
  const own = navigator.language.startsWith("fa") ? "fa" : "en";
  setLanguage(kept("wsdev-language", own));
  document.documentElement.dataset.theme = kept("wsdev-theme", "auto");
  watchRequests({
    reached: live.reached,
    unreached: live.unreached,
    locked: () => { if (isIn || !document.querySelector(".login")) lock(); },
  });
  const languages = byId("language");
  for (const [code, { name }] of Object.entries(LANGUAGES)) {
    languages.append(h("option", { value: code, lang: code, selected: code === language }, name));
  }
  languages.addEventListener("change", () => {
    setLanguage(languages.value);
    keep("wsdev-language", language);
    redraw();
  });
  byId("theme").addEventListener("click", () => {
    const root = document.documentElement;
    root.dataset.theme = THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length];
    keep("wsdev-theme", root.dataset.theme);
    drawShell();
  });
  byId("logout").addEventListener("click", async () => {
    await ask("/logout", { method: "POST", body: {} }).catch(() => {});
    lock();
  });
  addEventListener("hashchange", () => show({ moved: true }));
  drawShell();
  enter();
}

store.on("event", (kind, event) => {
  if (["connected", "disconnected", "renamed"].includes(kind)) store.tookEvent(kind, event);
  if (kind === "refusal" && route()[0] !== "door") {
    atDoor += 1;
    drawNavigation(route()[0]);
  }
});
store.on("reopened", async () => {
  store.refreshSoon();
  const who = await ask("/api/me").catch(() => null);
  if (who && version && who.version !== version) location.reload(); // the page is of the old one
});
setInterval(() => { if (!document.hidden) store.emit("second"); }, 1000);
begin();
