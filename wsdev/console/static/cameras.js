// The cameras' pictures, live: only those that are seen are asked for.

import { devicePath } from "./api.js";
import { h, setText } from "./dom.js";
import { bytes, duration, number, printable } from "./format.js";
import { devices, on } from "./store.js";
import { t } from "./texts.js";

const AT_A_TIME = 2;
const SOONEST = 250;
const AFTER_NONE = 3000;

export function isCamera(device) {
  return Boolean(device.camera) || device.class === "esp32cam";
}

function isLive(device) {
  return device && device.state === "online" && device.camera;
}

/**
 * Single pictures, one after the other: a stream would keep one of a browser's six connections to
 * a host for each tile.
 */
class Tile {
  constructor(name) {
    this.name = name;
    this.seen = false;
    this.due = 0;
    this.loading = false;
    this.image = h("img", { alt: "", width: "640", height: "480", decoding: "async" });
    this.note = h("span.note");
    this.facts = h("span.facts");
    this.element = h(
      "li.tile",
      h("a", { href: `#/devices/${encodeURIComponent(name)}` },
        h("span.frame", this.image, this.note),
        h("span.caption", h("bdi", printable(name, 64)), this.facts)),
    );
    this.image.alt = t("picture_of", { name: printable(name, 64) });
    this.image.addEventListener("load", () => this.ended(true));
    this.image.addEventListener("error", () => this.ended(false));
  }

  load(now) {
    this.loading = true;
    this.started = now;
    this.image.src = devicePath(this.name, `/snapshot.jpg?at=${Math.round(now)}`);
  }

  ended(good) {
    this.loading = false;
    this.element.classList.toggle("dark", !good);
    // Of many tiles each gets a part of what the link gives.
    const took = performance.now() - this.started;
    this.due = performance.now() + (good ? Math.max(SOONEST, took * 2) : AFTER_NONE);
  }

  update(device) {
    const camera = device && device.camera;
    const live = isLive(device);
    setText(this.note, live ? "" : device && device.state === "online" ? t("no_picture")
      : t("away"));
    this.element.classList.toggle("away", !live);
    const rate = camera && camera.frames_per_second;
    setText(this.facts, !camera ? "" : [
      rate ? t("fps", { n: number(rate, 1) }) : t("ago", { age: duration(camera.age) }),
      bytes(camera.size),
    ].join(" · "));
  }
}

/** Tiles of all cameras in `main`; returns how to end them. */
export function showCameras(main) {
  const tiles = new Map();
  const list = h("ul.tiles", { "aria-label": t("cameras") });
  const empty = h("p.empty", t("no_cameras"));
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const tile = tiles.get(entry.target.dataset.name);
      if (tile) tile.seen = entry.isIntersecting;
    }
  });
  const update = () => {
    const cameras = [...devices.values()].filter(isCamera);
    const names = new Set(cameras.map((device) => device.name));
    for (const [name, tile] of tiles) {
      if (names.has(name)) continue;
      watcher.unobserve(tile.element);
      tile.element.remove();
      tiles.delete(name);
    }
    for (const device of cameras) {
      if (!tiles.has(device.name)) {
        const tile = new Tile(device.name);
        tile.element.dataset.name = device.name;
        tiles.set(device.name, tile);
        list.append(tile.element);
        watcher.observe(tile.element);
      }
      tiles.get(device.name).update(device);
    }
    empty.hidden = cameras.length > 0;
  };
  const turn = setInterval(() => {
    if (document.hidden) return;
    const now = performance.now();
    const all = [...tiles.values()];
    let loading = all.filter((tile) => tile.loading).length;
    const due = all
      .filter((tile) => tile.seen && !tile.loading && tile.due <= now
        && isLive(devices.get(tile.name)))
      .sort((a, b) => a.due - b.due);
    for (const tile of due) {
      if (loading >= AT_A_TIME) break;
      tile.load(now);
      loading += 1;
    }
  }, 50);
  main.append(h("div.title", h("h1", t("cameras"))), list, empty);
  update();
  const end = on("devices", update);
  return () => { end(); clearInterval(turn); watcher.disconnect(); };
}

/** One camera as a stream, for as long as it is looked at; returns the element and its end. */
export function makeStream(name) {
  const image = h("img.stream", { width: "640", height: "480",
    alt: t("picture_of", { name: printable(name, 64) }) });
  let showing = false;
  let timer = 0;
  const look = () => {
    clearTimeout(timer);
    const wanted = !document.hidden && isLive(devices.get(name));
    if (Boolean(wanted) === showing) return;
    showing = Boolean(wanted);
    image.hidden = !showing;
    if (showing) image.src = devicePath(name, `/stream.mjpeg?at=${Date.now()}`);
    else image.removeAttribute("src"); // ends the request: a hidden image would keep it
  };
  image.addEventListener("error", () => {
    if (!showing) return;
    showing = false;
    timer = setTimeout(look, AFTER_NONE);
  });
  document.addEventListener("visibilitychange", look);
  const ends = [on("devices", look), on("reopened", () => { showing = false; look(); })];
  look();
  return {
    element: image,
    end() {
      ends.forEach((end) => end());
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", look);
      showing = false;
      image.removeAttribute("src");
    },
  };
}
