// The place where one draws: the pictures of a page one after the other, tools, status, keys, undo, drafts, handing in.
// A kind extends Bench and says what is drawn; everything here is the same for boxes, masks and points.

import { History, Sheet, drafts, html, svg } from "./canvas.js";

const ICONS = {
  undo: "M6 3 2.5 6.5 6 10M3 6.5h6.5a3.5 3.5 0 0 1 0 7H7", redo: "M10 3l3.5 3.5L10 10M13 6.5H6.5a3.5 3.5 0 0 0 0 7H9",
  minus: "M3 8h10", plus: "M3 8h10M8 3v10", fit: "M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10",
  drag: "M3 4.5h10v7H3zM1.5 3h3v3h-3zM11.5 10h3v3h-3z", extreme: "M8 1.5v3M8 11.5v3M1.5 8h3M11.5 8h3M5 5h6v6H5z",
  polygon: "M3 6.5 8.5 2l5 4-2 7.5h-7z", brush: "M13.5 2.5 7 9M6.5 9c-2 0-2.5 1.5-2.5 3-.5.8-1 1-1.5 1 1 .8 5.500 1 5.500-2 0-1-.6-2-1.5-2z",
  eraser: "M9.500 2.500 14 7l-6 6.500H5L2 10.500zM5.500 6.500 10 11", fill: "M7 2 2.500 7 8 12.500 13 7.500zM5 4.500h7.500M14 10.500c.8 1.200 1 2 .2 2.700-.8.500-1.500-.300-1.200-1.200z",
  clicks: "M3 3l4 10 1.500-4L12.500 7.500zM12 11v4M10 13h4", trash: "M3 4.500h10M6.500 4V2.500h3V4M4.500 4.500l.5 9h6l.5-9",
};

export const icon = (name) => svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));
export const kbd = (text) => html("kbd", {}, text);
export const counted = (count, one, many) => `${count} ${count === 1 ? one : many}`;

const COMMON_KEYS = [
  [["↵"], "accept what is proposed; the next picture; hand in"], [["u"], "undo (also Ctrl Z)"], [["U"], "redo (also Ctrl Y)"],
  [["+", "-"], "zoom (also the wheel, or two fingers)"], [["0"], "the whole picture"], [["Space"], "held: move the picture with the mouse; pressed: set a point at the cross"],
  [["←", "↑", "→", "↓"], "move the cross, or what is chosen, by 1 px; with Shift 10 px"], [["l"], "loupe on or off"],
  [[",", "."], "the picture before, the next one"], [["Esc"], "stop what was begun; choose nothing"],
];

export class Bench {
  constructor(page, root, hands) {
    Object.assign(this, { page, root, hands, index: 0, isLoupe: true, isSpaceUsed: false, isHandedIn: false });
    drafts.sweep();
    const draft = drafts.read(page.page_id), given = new Map((page.given ?? []).map((one) => [one.position, one]));
    const ofPage = new History(() => this.changed());
    this.desks = page.items.map((item) => ({ item, state: this.begin(item, given.get(item.position)), history: this.isOneHistory ? ofPage : new History(() => this.changed()) }));
    for (const desk of this.desks) if (draft?.[desk.item.position]) desk.state = this.fromDraft(desk.item, draft[desk.item.position]);
    this.build();
    this.stop = new AbortController();
    const signal = this.stop.signal;
    document.addEventListener("keydown", (event) => this.keydown(event), { capture: true, signal });
    document.addEventListener("keyup", (event) => this.keyup(event), { capture: true, signal });
    window.addEventListener("pagehide", () => this.keep(), { signal });
    window.addEventListener("blur", () => { if (this.sheet) this.sheet.isSpace = false; }, { signal });
    window.addEventListener("resize", () => this.measure(), { signal });
    this.open(0);
    if (draft) this.say("What you had drawn here is back.");
  }

  // --- what a kind says (each may be replaced) ---
  begin() { return {}; }                       // the state of one picture, from what was handed in before
  fromDraft(_item, kept) { return kept; }
  toDraft(state) { return state; }
  answer() { return null; }                    // {answer, data} of a state; null: not answered yet
  missing() { return "This picture has no answer yet."; }
  tools() { return []; }                       // groups of {word, key, icon, run, isOn, isOff}
  answers() { return []; }                     // buttons beside "hand in": the same
  key() { return false; }
  keyRows() { return []; }
  accept() { return false; }                   // Enter: true when it was used up
  opened() {}
  draw() {}
  stepBack() { return false; }                 // undo within something that is being drawn

  // --- the frame ---

  get desk() { return this.desks[this.index]; }
  get state() { return this.desk.state; }
  get item() { return this.desk.item; }
  address(item) { return (side) => `/desk/pages/${encodeURIComponent(this.page.page_id)}/pictures/${item.position}/${side}`; }
  name() { const { name, names } = this.page.concept ?? {}; return name || names?.[0] || "this"; }

  build() {
    this.ask = html("p", { class: "ask-words" });
    this.toolbar = html("div", { class: "tools", role: "toolbar", "aria-label": "Tools" });
    this.place = html("div", { class: "sheet-place" });
    this.status = html("p", { class: "said", role: "status", "aria-live": "polite" });
    this.film = html("div", { class: "film", role: "group", "aria-label": "Pictures of this page" });
    this.choices = html("div", { class: "choices" });
    this.foot = html("div", { class: "bench-foot" }, this.status, this.film, this.choices);
    this.bench = html("section", { class: `bench bench-${this.page.kind}`, "aria-label": "Drawing" }, html("div", { class: "bench-head" }, this.ask, this.toolbar), this.place, this.foot);
    this.root.replaceChildren(this.bench);
    this.film.hidden = this.desks.length < 2;
    this.film.append(...this.desks.map(({ item }, index) => {
      const picture = html("img", { alt: "", loading: "lazy", src: this.address(item)(160) });
      return html("button", { type: "button", class: "film-one", "aria-label": `Picture ${index + 1} of ${this.desks.length}`, onclick: () => this.open(index) }, picture);
    }));
    this.listKeys();
  }

  /** The `?` dialog of the page gets this kind's keys; a page without one gets its own. */
  listKeys() {
    let list = document.querySelector("#help dl");
    if (!list) {
      list = html("dl");
      this.help = html("dialog", { id: "help", "aria-label": "Keys" }, html("h2", {}, "Keys"), list, html("form", { method: "dialog" }, html("button", {}, "Close")));
      document.body.append(this.help);
    }
    this.rows = [...this.keyRows(), ...COMMON_KEYS].flatMap(([keys, words]) => [html("dt", {}, ...keys.flatMap((key) => [kbd(key), " "])), html("dd", {}, words)]);
    list.prepend(...this.rows);
  }

  leave() {
    this.keep();
    this.stop.abort();
    this.sheet?.leave();
    this.help?.remove();
    for (const row of this.rows) row.remove();
  }

  open(index) {
    this.closing?.();
    this.index = index;
    this.sheet?.leave();
    this.sheet = new Sheet({ width: this.item.width, height: this.item.height, address: this.address(this.item), label: `${this.name()}: picture ${index + 1} of ${this.desks.length}`, hand: this });
    this.place.replaceChildren(this.sheet.root);
    this.opened();
    this.changed();
    this.measure();
    this.sheet.root.focus({ preventScroll: true });
    const next = this.desks[index + 1];
    if (next) new Image().src = this.address(next.item)(Math.max(next.item.width, next.item.height) > 640 ? 640 : 0);
  }

  /** The sheet takes what the window leaves: nothing to scroll while drawing. */
  measure() {
    const top = this.place.getBoundingClientRect().top + window.scrollY;
    this.place.style.height = `${Math.max(window.innerHeight - top - this.foot.offsetHeight - 8, 280)}px`;
  }

  say(text, isProblem = false) {
    this.status.textContent = text;
    this.status.classList.toggle("problem", isProblem);
  }

  button({ word, key, icon: drawn, run, isOn, isOff, isMain, isIcon, title }) {
    const label = `${title ?? word}${key ? ` (${key})` : ""}`;
    const made = html("button", { type: "button", class: isMain ? "main" : "quiet", title: label, "aria-label": isIcon ? label : null, "aria-pressed": isOn === undefined ? null : String(Boolean(isOn)), disabled: Boolean(isOff) });
    if (drawn) made.append(icon(drawn));
    if (!isIcon) made.append(html("span", {}, word));
    if (key && !isIcon) made.append(kbd(key));
    made.addEventListener("click", () => { run(); if (!this.isHandedIn && !document.querySelector("dialog[open]")) this.sheet.root.focus({ preventScroll: true }); });
    return made;
  }

  /** After anything that can be seen in the tools, the film or the draft. */
  changed() {
    if (!this.sheet) return;
    const history = this.desk.history, isLast = this.index === this.desks.length - 1;
    const view = [
      { word: "Undo", key: "u", icon: "undo", isIcon: true, run: () => this.undo(), isOff: !history.done.length && !this.isMidway?.() },
      { word: "Redo", key: "U", icon: "redo", isIcon: true, run: () => this.redo(), isOff: !history.undone.length },
      { word: "Smaller", key: "-", icon: "minus", isIcon: true, run: () => this.sheet.zoomBy(0.8) },
      { word: "The whole picture", key: "0", icon: "fit", isIcon: true, run: () => this.sheet.fit() },
      { word: "Larger", key: "+", icon: "plus", isIcon: true, run: () => this.sheet.zoomBy(1.25) },
    ];
    const focused = [...this.toolbar.querySelectorAll("button, input")].indexOf(document.activeElement);
    this.toolbar.replaceChildren(...[...this.tools(), view].map((group) => html("div", { class: "tool-group" }, ...group.map((one) => one instanceof Node ? one : this.button(one)))));
    if (focused >= 0) this.toolbar.querySelectorAll("button, input")[focused]?.focus();
    const main = { word: isLast ? "Hand in" : "Next picture", key: "↵", isMain: true, run: () => this.enter() };
    this.choices.replaceChildren(...[...this.answers(), main].map((one) => this.button(one)));
    this.ask.replaceChildren(...this.words());
    for (const [index, one] of [...this.film.children].entries()) {
      one.setAttribute("aria-current", String(index === this.index));
      one.dataset.answer = this.answer(this.desks[index].state, this.desks[index].item)?.answer ?? "";
    }
    this.film.children[this.index]?.scrollIntoView({ block: "nearest", inline: "nearest" });
    clearTimeout(this.keeping);
    this.keeping = setTimeout(() => this.keep(), 150);
    this.sheet.redraw();
  }

  // --- drafts ---

  keep() {
    clearTimeout(this.keeping);
    if (this.isHandedIn) return;
    const items = {};
    for (const { item, state, history } of this.desks) if (history.done.length || history.undone.length || state.isDraft) items[item.position] = { ...this.toDraft(state, item), isDraft: true };
    if (!Object.keys(items).length) return;
    if (!drafts.write(this.page.page_id, items) && !this.isTold) {
      this.isTold = true;
      this.say("This browser keeps no drafts: what is drawn here is lost when the page is closed.", true);
    }
  }

  // --- undo ---

  undo() {
    if (this.stepBack()) { this.changed(); return true; }
    const name = this.desk.history.undo();
    if (name) this.say(`Taken back: ${name}.`);
    return Boolean(name);
  }
  redo() {
    const name = this.desk.history.redo();
    if (name) this.say(`Done again: ${name}.`);
    return Boolean(name);
  }

  // --- keys ---

  isElsewhere(event) {
    return Boolean(document.querySelector("dialog[open]")) || Boolean(event.target.closest?.("input:not([type=range]), select, textarea"));
  }

  keydown(event) {
    if (this.isElsewhere(event) || this.isHandedIn) return;
    const isButton = Boolean(event.target.closest?.("button, a, summary"));
    if (isButton && (event.key === " " || event.key === "Enter")) return;  // it is pressed
    if (event.target.closest?.("input[type=range]") && event.key.startsWith("Arrow")) return;
    if (this.command(event)) {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
  }

  command(event) {
    const { key } = event, isControl = event.ctrlKey || event.metaKey;
    if (isControl && key.toLowerCase() === "z") return (event.shiftKey ? this.redo() : this.undo()) || true;
    if (isControl && key.toLowerCase() === "y") return this.redo() || true;
    if (isControl) return false;
    if (key === " ") {
      if (!event.repeat) { this.sheet.isSpace = true; this.sheet.wasPanned = false; this.sheet.redraw(); }
      return true;
    }
    if (this.key(event)) return true;
    if (event.altKey) return false;
    if (key === "u") return this.undo();  // nothing left to undo here: the desk goes back a page
    if (key === "U") return this.redo() || true;
    if (key === "Enter") { if (!event.repeat) this.enter(); return true; }
    if (key === "l") { this.isLoupe = !this.isLoupe; this.sheet.hideLoupe(); this.say(this.isLoupe ? "Loupe on." : "Loupe off."); return true; }
    if (key === "," && this.index) { this.open(this.index - 1); return true; }
    if (key === "." && this.index < this.desks.length - 1) { this.open(this.index + 1); return true; }
    if (key === "?" && this.help) { this.help.showModal(); return true; }
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key] ?? [0, 0];
    if (dx || dy) { this.sheet.moveCursor(dx, dy, event.shiftKey); return true; }
    return this.sheet.key(event);
  }

  keyup(event) {
    if (event.key !== " " || !this.sheet.isSpace) return;
    this.sheet.isSpace = false;
    event.preventDefault();
    if (!this.sheet.wasPanned && !this.isElsewhere(event)) {
      if (this.sheet.cursor) this.setPoint?.(this.sheet.cursor);
      else this.say("Arrows move a cross over the picture; space sets a point there.");
    }
    this.sheet.redraw();
  }

  // --- on to the next, and handing in ---

  enter() {
    if (this.accept()) return;
    if (!this.answer(this.state, this.item)) { this.say(this.missing(), true); return; }
    if (this.index < this.desks.length - 1) this.open(this.index + 1);
    else this.handIn();
  }

  async handIn() {
    const open = this.desks.findIndex(({ state, item }) => !this.answer(state, item));
    if (open >= 0) { this.open(open); this.say(this.missing(), true); return; }
    if (this.isHandedIn) return;
    this.keep();
    this.isHandedIn = true;  // what is sent stays as it is
    const answers = this.desks.map(({ state, item }) => ({ position: item.position, data: {}, ...this.answer(state, item) }));
    try {
      await this.hands.submit(answers);
      drafts.drop(this.page.page_id);
    } catch (error) {
      this.isHandedIn = false;
      this.say(error.what ?? error.message ?? "It could not be handed in.", true);
    }
  }
}
