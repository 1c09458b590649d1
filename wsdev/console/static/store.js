// The devices as last told, and who wants to know of changes.

import { ask } from "./api.js";

const MOST_TRIPS = 60;
const SOONEST = 1500;
const RELAXED = 10000;

/** Devices by name; `at` is when they were told of (performance.now), `trips` their round trips. */
export const devices = new Map();
export const counts = { online: 0, offline: 0, known: false };

const listeners = new Map();

/** Be called at each `topic`; returns how to end that. */
export function on(topic, listener) {
  if (!listeners.has(topic)) listeners.set(topic, new Set());
  listeners.get(topic).add(listener);
  return () => listeners.get(topic).delete(listener);
}

export function emit(topic, ...news) {
  for (const listener of [...(listeners.get(topic) || [])]) listener(...news);
}

/** Seconds since the device's last proof of life, now. */
export function proofAge(device) {
  if (device.proof_age === null) return null;
  return device.proof_age + (performance.now() - device.at) / 1000;
}

function keep(given, at) {
  const before = devices.get(given.name);
  const told = given.round_trips;
  const trips = told.length || !before ? told : before.trips;
  const trip = given.round_trip;
  if (!told.length && trip !== null && before?.round_trip !== trip) {
    trips.push(trip);
    if (trips.length > MOST_TRIPS) trips.shift();
  }
  devices.set(given.name, { ...given, at, trips });
}

/** Take a device as the API told it. */
export function keepOne(given) {
  keep(given, performance.now());
  count();
  emit("devices");
}

function count() {
  counts.online = 0;
  for (const device of devices.values()) counts.online += device.state === "online";
  counts.offline = devices.size - counts.online;
  counts.known = true;
}

let timer = 0;
let due = Infinity;
let took = 0;
let asking = false;
let running = false;

/** Ask after a pause, or sooner if that was meant already. */
function plan(pause) {
  const at = performance.now() + pause;
  if (!running || asking || at >= due) return;
  clearTimeout(timer);
  due = at;
  timer = setTimeout(refresh, pause);
}

async function refresh() {
  const started = performance.now();
  asking = true;
  due = Infinity;
  try {
    const told = await ask(`/api/devices${counts.known ? "" : `?round_trips=${MOST_TRIPS}`}`);
    const at = performance.now();
    const names = new Set();
    for (const device of told.devices) {
      names.add(device.name);
      keep(device, at);
    }
    for (const name of devices.keys()) {
      if (!names.has(name)) devices.delete(name);
    }
    count();
    emit("devices");
  } catch {
    // The connection's state tells of it; the next try comes in its time.
  }
  asking = false;
  took = performance.now() - started;
  // A large list is asked for less often: at most a twentieth of the time goes into it.
  plan(Math.min(RELAXED, Math.max(SOONEST, took * 20)));
}

/** Ask for the devices from now on, or no longer. */
export function follow(whether) {
  running = whether;
  clearTimeout(timer);
  due = Infinity;
  plan(0);
}

/** Ask anew soon: something has changed. */
export function refreshSoon() {
  plan(Math.max(150, took * 3));
}

/** A link began or ended, as the journal tells; the list that comes soon says the rest. */
export function tookEvent(kind, event) {
  const device = devices.get(event.device);
  if (kind === "disconnected" && device && device.session === event.session) {
    devices.set(event.device, {
      ...device, state: "offline", round_trip: null, connected_since: null, camera: null,
    });
    count();
    emit("devices");
  }
  refreshSoon();
}
