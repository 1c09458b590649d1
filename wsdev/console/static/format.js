// Numbers, times and peers' texts in the words of the page's language.

import { language, locale, t } from "./texts.js";

// As wsdev/sanitize.py: what steers a terminal, reorders a line or leaves no ink.
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0]/gu;

/** A peer's text for eyes: control and bidi characters as \x1b, cut to a length. */
export function printable(value, limit = 300) {
  let text = typeof value === "string" ? value : String(value ?? "");
  if (text.length > limit) text = `${text.slice(0, limit - 1)}…`;
  return text.replace(UNSAFE, (found) => {
    const code = found.codePointAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}`
      : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** Peers' texts in one line; those that are empty are left out. */
export function joined(texts, between = " – ") {
  return texts.filter(Boolean).map((text) => printable(text)).join(between);
}

/** Why something was not served. */
export function problemText(problem) {
  return problem.status ? joined([problem.message, problem.hint]) : t("unreachable");
}

/** A value in words, or a dash if there is none. */
export function orDash(value, words) {
  return value === null ? "–" : words(value);
}

const made = new Map();

function formatter(kind, options) {
  const key = `${locale()} ${kind} ${JSON.stringify(options)}`;
  if (!made.has(key)) made.set(key, new Intl[kind](locale(), options));
  return made.get(key);
}

export function number(value, digits = 0) {
  return formatter("NumberFormat", { maximumFractionDigits: digits }).format(value);
}

function unit(value, name, digits = 0) {
  return formatter("NumberFormat", {
    style: "unit", unit: name, // Narrow Persian has Latin letters.
    unitDisplay: language === "fa" ? "short" : "narrow", maximumFractionDigits: digits,
  }).format(value);
}

/** Seconds as the two largest units at most: 8s, 3m, 2h, 5d. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return unit(whole, "second");
  if (whole < 3600) return unit(Math.floor(whole / 60), "minute");
  if (whole < 86400) return unit(Math.floor(whole / 3600), "hour");
  return unit(Math.floor(whole / 86400), "day");
}

/** Seconds as 9:05, for a countdown. */
export function countdown(seconds) {
  const whole = Math.max(0, Math.ceil(seconds));
  const two = formatter("NumberFormat", { minimumIntegerDigits: 2 });
  return `${number(Math.floor(whole / 60))}:${two.format(whole % 60)}`;
}

export function milliseconds(seconds) {
  const value = seconds * 1000;
  return unit(value, "millisecond", value < 10 ? 1 : 0);
}

export function bytes(value) {
  if (value < 1000) return unit(value, "byte");
  if (value < 1e6) return unit(value / 1e3, "kilobyte", value < 1e4 ? 1 : 0);
  if (value < 1e9) return unit(value / 1e6, "megabyte", value < 1e7 ? 1 : 0);
  return unit(value / 1e9, "gigabyte", 1);
}

/** A moment, in Unix seconds or ISO 8601: the time of day, with the date if it is not today. */
export function moment(when) {
  const date = new Date(typeof when === "number" ? when * 1000 : when);
  const today = new Date().toDateString() === date.toDateString();
  const time = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  const day = { month: "short", day: "numeric" };
  return formatter("DateTimeFormat", today ? time : { ...day, ...time }).format(date);
}
