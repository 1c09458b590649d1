// A long list of which only what is seen is in the page.

import { setAttribute } from "./dom.js";

const SPARE = 6;

/**
 * Rows of one height in `body`, as tall as all of them.
 *
 * `make()` gives an empty row with a link in it, `fill(row, item)` writes an item into it, `key`
 * names an item: a row stays with its item for as long as it is seen, and so does the focus. The
 * row's link is a stop of the Tab key for one item only; arrows go from row to row.
 */
export class VirtualList {
  constructor(body, { make, fill, key }) {
    this.body = body;
    this.make = make;
    this.fill = fill;
    this.key = key;
    this.items = [];
    this.rows = new Map();
    this.free = [];
    this.current = null;
    this.frame = 0;
    this.soon = () => { this.frame ||= requestAnimationFrame(() => this.draw(false)); };
    addEventListener("scroll", this.soon, { passive: true });
    this.resized = () => this.draw();
    addEventListener("resize", this.resized);
    body.addEventListener("keydown", (event) => this.keyed(event));
    body.addEventListener("focusin", (event) => this.focused(event));
  }

  end() {
    removeEventListener("scroll", this.soon);
    removeEventListener("resize", this.resized);
    cancelAnimationFrame(this.frame);
  }

  setItems(items) {
    this.items = items;
    if (!items.some((item) => this.key(item) === this.current)) {
      this.current = items.length ? this.key(items[0]) : null;
    }
    this.draw();
  }

  rowHeight() {
    return parseFloat(getComputedStyle(this.body).getPropertyValue("--row"));
  }

  /** Show what is in sight; while one scrolls, rows that were there keep what they say. */
  draw(anew = true) {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const height = this.rowHeight();
    const total = `${this.items.length * height}px`;
    if (this.body.style.height !== total) this.body.style.height = total;
    const top = -this.body.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(top / height) - SPARE);
    const last = Math.min(this.items.length, Math.ceil((top + innerHeight) / height) + SPARE);
    const seen = new Map();
    for (let i = first; i < last; i += 1) seen.set(this.key(this.items[i]), i);
    this.keepFocused(seen);
    for (const [name, row] of this.rows) {
      if (seen.has(name)) continue;
      row.hidden = true;
      delete row.dataset.key;
      this.rows.delete(name);
      this.free.push(row);
    }
    for (const [name, i] of seen) {
      if (anew || !this.rows.has(name)) this.place(name, i, height);
    }
  }

  /** The row with the focus stays in the page wherever one scrolls. */
  keepFocused(seen) {
    const row = document.activeElement && document.activeElement.closest("[data-key]");
    if (!row || !this.body.contains(row) || seen.has(row.dataset.key)) return;
    const index = this.items.findIndex((item) => this.key(item) === row.dataset.key);
    if (index >= 0) seen.set(row.dataset.key, index);
  }

  place(name, index, height) {
    let row = this.rows.get(name);
    if (!row) {
      row = this.free.pop();
      if (!row) {
        row = this.make();
        this.body.append(row);
      }
      row.hidden = false;
      row.dataset.key = name;
      this.rows.set(name, row);
    }
    const where = `translateY(${index * height}px)`;
    if (row.style.transform !== where) row.style.transform = where;
    setAttribute(row, "aria-rowindex", String(index + 2));
    this.fill(row, this.items[index]);
    setAttribute(row.querySelector("a"), "tabindex", name === this.current ? "0" : "-1");
  }

  focused(event) {
    const row = event.target.closest("[data-key]");
    if (row) this.current = row.dataset.key;
  }

  keyed(event) {
    const page = Math.max(1, Math.floor(innerHeight / 50));
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity,
      End: Infinity };
    const step = steps[event.key];
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const now = this.items.findIndex((item) => this.key(item) === this.current);
    const next = Math.min(this.items.length - 1, Math.max(0, now + step));
    this.current = this.key(this.items[next]);
    const height = this.rowHeight();
    const top = this.body.getBoundingClientRect().top + next * height;
    if (top < 160) scrollBy(0, top - 160);
    else if (top + height > innerHeight) scrollBy(0, top + height - innerHeight + 8);
    this.draw();
    this.rows.get(this.current).querySelector("a").focus({ preventScroll: true });
  }
}
