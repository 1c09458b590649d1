// Elements from code. Text only ever becomes text: nothing here reads markup.

import { t } from "./texts.js";

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "path"]);

/**
 * An element: tag and classes (`div.title`), attributes and listeners (`onclick`) if there are any,
 * and children: elements, texts or lists.
 */
export function h(name, ...rest) {
  const [tag, ...classes] = name.split(".");
  const element = SVG_TAGS.has(tag)
    ? document.createElementNS(SVG, tag)
    : document.createElement(tag);
  if (classes.length) element.classList.add(...classes);
  const attributes = rest[0]?.constructor === Object ? rest.shift() : {};
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...rest.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Change a text only if it is another one: a reader of the page is not told it again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

export function byId(id) {
  return document.getElementById(id);
}

/** A part of the page under its own heading. */
export function section(title, ...children) {
  return h("section", { "aria-label": title }, h("h2", title), ...children);
}

/** A table that scrolls by itself if it is too wide; returns it, and the body for its rows. */
export function table(title, columns) {
  const body = h("tbody");
  const head = h("tr", columns.map((text) => h("th", { scope: "col" }, text)));
  return [h("div.scroll", { tabindex: "0", role: "region", "aria-label": title },
    h("table", h("thead", head), body)), body];
}

/** Show a dialog until one of its buttons or Escape ends it; resolves to the button's value. */
export function asked(title, ...children) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { "aria-label": title },
      h("form", { method: "dialog" }, h("h2", title), ...children));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Ask before something that cannot be undone; resolves to whether it was agreed to. */
export async function confirmed(title, text, action) {
  return await asked(title, h("p", text), h("div.actions",
    h("button.quiet", { value: "no", autofocus: true }, t("cancel")),
    h("button.danger", { value: "yes" }, action))) === "yes";
}
