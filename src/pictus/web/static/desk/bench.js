// The place where one draws: the pictures of a page one after the other, tools, keys, undo, drafts, handing in.
// A kind extends Bench and says what is drawn; everything here is the same for boxes, masks and points.

import { History, Sheet, svg } from "./canvas.js";
import { el } from "./dom.js";

const ICONS = {
  undo: "M6 3 2.5 6.5 6 10M3 6.5h6.5a3.5 3.5 0 0 1 0 7H7", redo: "M10 3l3.5 3.5L10 10M13 6.5H6.5a3.5 3.5 0 0 0 0 7H9",
  minus: "M3 8h10", plus: "M3 8h10M8 3v10", fit: "M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10",
  drag: "M3 4.5h10v7H3zM1.5 3h3v3h-3zM11.5 10h3v3h-3z", extreme: "M8 1.5v3M8 11.5v3M1.5 8h3M11.5 8h3M5 5h6v6H5z",
  polygon: "M3 6.5 8.5 2l5 4-2 7.5h-7z", brush: "M13.5 2.5 7 9M6.5 9c-2 0-2.5 1.5-2.5 3-.5.8-1 1-1.5 1 1 .8 5.500 1 5.500-2 0-1-.6-2-1.5-2z",
  eraser: "M9.500 2.500 14 7l-6 6.500H5L2 10.500zM5.500 6.500 10 11", fill: "M7 2 2.500 7 8 12.500 13 7.500zM5 4.500h7.500M14 10.500c.8 1.200 1 2 .2 2.700-.8.500-1.500-.300-1.200-1.200z",
  clicks: "M3 3l4 10 1.500-4L12.500 7.500zM12 11v4M10 13h4", trash: "M3 4.500h10M6.500 4V2.500h3V4M4.500 4.500l.5 9h6l.5-9",
};

// The desk's page links the styles of all kinds but these: only who draws loads them.
if (!document.querySelector('link[href="/static/desk/shapes.css"]')) {
  const link = el("link", { rel: "stylesheet", href: "/static/desk/shapes.css" });
  await new Promise((done) => { link.onload = link.onerror = done; document.head.append(link); });
}

export const icon = (name) => svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));

const THUMBNAIL_PX = 150;       // as the desk fetches the pictures of a page ahead
const AHEAD = 3;                // pictures of a page that are fetched before they are looked at
const GAP_PX = 8, FOOT_PX = 33;  // as in shapes.css: over the film; below it, where the quiet line stands
const LEAST_SHEET_PX = 300;      // less is no room to draw in

/** Keys that every drawing has, for the list that ? opens. */
export const DRAWING_KEYS = [
  [", .", "the picture before, the next one"], ["u", "undo; where nothing is left to undo, the page before (also Ctrl Z)"], ["U", "redo (also Ctrl Y)"],
  ["+ − 0", "larger, smaller, the whole picture (also the wheel, or two fingers)"],
  ["← ↑ → ↓", "move the cross, or what is chosen, by 1 px; with Shift 10 px"],
  ["Space", "pressed: set a point at the cross; held: move the picture with the mouse"],
  ["l", "loupe on or off"], ["Esc", "stop what was begun; choose nothing"],
];

export class Bench {
  constructor(page, root, hands) {
    Object.assign(this, { page, root, hands, index: 0, isLoupe: true });
    const draft = hands.drafted, given = new Map((page.given ?? []).map((one) => [one.position, one]));
    const ofPage = new History(() => this.changed());
    this.desks = page.items.map((item) => ({
      item, state: draft?.[item.position] ? this.fromDraft(item, draft[item.position]) : this.begin(item, given.get(item.position)),
      history: this.isOneHistory ? ofPage : new History(() => this.changed()),
    }));
    this.build();
    this.stop = new AbortController();
    const signal = this.stop.signal;
    document.addEventListener("keyup", (event) => this.keyup(event), { signal });
    window.addEventListener("pagehide", () => this.keep(), { signal });
    window.addEventListener("blur", () => { this.sheet.isSpace = false; }, { signal });
    window.addEventListener("resize", () => this.measure(), { signal });
    this.room = new ResizeObserver(() => this.measure());
    for (const one of [document.querySelector("header"), this.head, ...["concept", "bar"].map((id) => document.getElementById(id))]) if (one) this.room.observe(one);
    const first = this.desks.findIndex(({ state, item }) => !this.answer(state, item));
    this.open(draft && first > 0 ? first : 0);
    if (draft) this.say("What you had drawn here is back.");
  }

  // --- what a kind says (each may be replaced) ---
  begin() { return {}; }                       // the state of one picture, from what was handed in before
  fromDraft(_item, kept) { return kept; }
  toDraft(state) { return state; }
  answer() { return null; }                    // {answer, data} of a state; null: not answered yet
  said(state, item) { return this.answer(state, item)?.answer ?? ""; }  // the answer's word, "" for none yet
  missing() { return "This picture has no answer yet."; }
  hint() { return []; }                        // one line over the picture: what to do next
  tools() { return []; }                       // groups of {word, key, icon, run, isOn, isOff, isIcon} or elements
  answers() { return []; }                     // buttons beside the one that hands in: the same
  others() { return []; }                      // after these: the things of one picture, another one
  take() { return false; }                     // a key of the kind's own: true when it was used up
  accept() { return false; }                   // Enter: true when it was used up
  opened() {}                                  // another picture is shown
  closed() {}
  draw() {}                                    // into an SVG in screen px
  stepBack() { return false; }                 // undo within something that is being drawn

  // --- the frame ---

  get desk() { return this.desks[this.index]; }
  get state() { return this.desk.state; }
  get item() { return this.desk.item; }
  get name() { return this.page.concept.name; }
  get whatFor() { return "drawn"; }
  address(item) { return (side) => this.hands.picture(item.position, side); }
  /** The project has the picture's size wrong (it was never measured, and lies on its side): nothing drawn would be true. */
  misfit(width, height) {
    this.desk.misfit = `The project says ${this.item.width} × ${this.item.height} px, the picture is ${width} × ${height}: nothing can be drawn on it. Its owner types: pictus clean check`;
    this.changed();
    this.say(this.desk.misfit);
  }

  /** Boxes that say which of several things a mask or points are asked for. */
  get frames() { return this.item.marks.filter((one) => one.shape?.box).map((one) => one.shape.box); }
  framed(layer) { for (const box of this.frames) layer.append(boxLines(this.sheet, box, "frame")); }
  dot(point, name, r = 4.5) { const [cx, cy] = this.sheet.toScreen(point); return svg("circle", { class: name, cx, cy, r }); }
  /** What is proposed where nothing is drawn yet: the first mark whose shape is one of the kind's, if nobody has judged it. */
  proposed(isOfKind) {
    const { things, isNone } = this.state, mark = this.item.marks.find((one) => one.shape && isOfKind(one.shape));
    return mark && mark.state !== "accepted" && mark.state !== "rejected" && !things.length && !isNone ? mark : null;
  }
  say(text) { this.hands.say(text); }

  build() {
    this.words = el("p", { class: "bench-hint" });
    this.toolbar = el("div", { class: "bench-tools", role: "toolbar", "aria-label": "Tools" });
    this.place = el("div", { class: "sheet-place" });
    this.film = el("div", { class: "film", role: "group", "aria-label": "Pictures of this page", hidden: this.desks.length < 2 });
    this.head = el("div", { class: "bench-head" }, this.words, this.toolbar);
    this.root.replaceChildren(el("section", { class: `bench bench-${this.page.kind}`, "aria-label": "Drawing" }, this.head, this.place, this.film));
    if (this.page.help) {  // what to do in full, over the keys
      this.how = el("p", { class: "how" }, this.page.help);
      document.getElementById("help-title")?.after(this.how);
    }
    this.film.append(...this.desks.map(({ item }, index) => {
      const picture = el("img", { alt: "", src: this.address(item)(this.hands.side(THUMBNAIL_PX)) });
      return el("button", { type: "button", class: "film-one", "aria-label": `Picture ${index + 1} of ${this.desks.length}`, onclick: () => this.open(index) }, picture);
    }));
  }

  leave() {
    this.isGone = true;
    this.keep();
    this.stop.abort();
    this.room.disconnect();
    this.how?.remove();
    this.closed();
    this.sheet.leave();
  }

  /** `from`: the picture whose answer led here, to which undo goes back. */
  open(index, from = null) {
    this.wentFrom = from;
    if (this.sheet) {
      this.closed();
      this.sheet.leave();
      this.say("");  // what was said of the picture before
    }
    this.index = index;
    this.sheet = new Sheet({ width: this.item.width, height: this.item.height, address: this.address(this.item), thumbnail: this.hands.side(THUMBNAIL_PX), label: `${this.name}: picture ${index + 1} of ${this.desks.length}`, hand: this });
    this.place.replaceChildren(this.sheet.root);
    this.opened();
    this.changed();
    this.sheet.root.focus({ preventScroll: true });
    for (const { item } of this.desks.slice(index + 1, index + 1 + AHEAD)) new Image().src = this.address(item)(Math.max(item.width, item.height) > 640 ? 640 : 0);
  }

  /** The sheet takes what the window leaves: nothing to scroll while drawing. */
  measure() {
    if (this.sheet?.pointers.size) return;  // nothing moves under a hand that draws; `changed` comes after it
    const top = this.place.getBoundingClientRect().top + window.scrollY, film = this.film.hidden ? 0 : this.film.offsetHeight + GAP_PX;
    const bar = document.getElementById("bar")?.offsetHeight ?? 0;
    this.place.style.height = `${Math.max(window.innerHeight - top - film - bar - FOOT_PX, LEAST_SHEET_PX)}px`;
  }

  button({ word, key, icon: drawn, run, isOn, isOff, isIcon, isAnswer, isWide, title }) {
    const label = `${title ?? word}${key ? ` (${key})` : ""}`;
    const made = el("button", { type: "button", class: `quiet${isAnswer ? " answer" : ""}${isWide ? " wide-only" : ""}`, title: label, "aria-label": isIcon || drawn ? label : null, "aria-pressed": isOn === undefined ? null : String(Boolean(isOn)), disabled: Boolean(isOff) });
    if (drawn) made.append(icon(drawn));
    if (!isIcon) made.append(el("span", {}, word));
    if (key && !isIcon) made.append(el("kbd", {}, key));
    made.addEventListener("click", () => { run(); if (this.sheet.root.isConnected && !document.querySelector("dialog[open]")) this.sheet.root.focus({ preventScroll: true }); });
    return made;
  }

  /** After anything that can be seen in the tools, the film or the draft. */
  changed() {
    if (!this.sheet) return;
    const { history } = this.desk, isLast = this.index === this.desks.length - 1;
    const view = [
      [{ word: "Undo", key: "u", icon: "undo", isIcon: true, run: () => this.undo(), isOff: !history.done.length && !this.isMidway?.() && this.wentFrom === null },
        { word: "Redo", key: "U", icon: "redo", isIcon: true, run: () => this.redo(), isOff: !history.undone.length }],
      [{ word: "Smaller", key: "−", icon: "minus", isIcon: true, isWide: true, run: () => this.sheet.zoomBy(0.8) },
        { word: "The whole picture", key: "0", icon: "fit", isIcon: true, run: () => this.sheet.fit() },
        { word: "Larger", key: "+", icon: "plus", isIcon: true, isWide: true, run: () => this.sheet.zoomBy(1.25) }],
    ];
    this.fillBar(this.toolbar, [...this.tools(), ...view].map((group) => el("div", { class: "tool-group" }, group.map((one) => one instanceof Node ? one : this.button(one)))));
    const next = isLast ? [] : [{ word: "Next", key: ".", run: () => this.open(this.index + 1) }];
    this.fillBar(this.hands.tools, [...this.answers().map((one) => ({ ...one, isAnswer: true })), ...this.others(), ...next].map((one) => this.button(one)));
    this.words.replaceChildren(...(this.desk.misfit ? [this.desk.misfit] : this.hint()));
    const answered = this.desks.map(({ state, item }) => this.said(state, item));
    for (const [index, one] of [...this.film.children].entries()) {
      one.setAttribute("aria-current", String(index === this.index));
      one.dataset.answer = answered[index];
    }
    this.film.children[this.index]?.scrollIntoView({ block: "nearest", inline: "nearest" });
    this.hands.tally(`${answered.filter(Boolean).length} of ${answered.length} ${answered.length === 1 ? "picture" : "pictures"} ${this.whatFor}`);
    clearTimeout(this.keeping);
    this.keeping = setTimeout(() => this.keep(), 150);
    this.measure();
    this.sheet.redraw();
  }

  /** Buttons of the things on one picture, by number, and one for what is drawn next to be another. */
  several(count, chosen) {
    const numbered = count > 1 || (count && chosen < 0) ? Array.from({ length: count }, (_one, index) => ({ word: String(index + 1), title: `Thing ${index + 1}`, isOn: index === chosen, run: () => this.choose(index) })) : [];
    return [...numbered, { word: "Another one", key: "m", isOn: count && chosen < 0 ? true : undefined, isOff: chosen < 0, run: () => this.another() }];
  }

  /** New buttons in the place of the old; the one that had the focus keeps it. */
  fillBar(bar, made) {
    const all = () => [...bar.querySelectorAll("button, input")], focused = all().indexOf(document.activeElement);
    bar.replaceChildren(...made);
    if (focused >= 0) all()[focused]?.focus();
  }

  // --- drafts: the desk keeps them until the page is handed in ---

  keep() {
    clearTimeout(this.keeping);
    if (this.isHandedIn) return;
    const kept = {};
    for (const { item, state, history } of this.desks) if (history.done.length || history.undone.length || state.isDraft) kept[item.position] = { ...this.toDraft(state, item), isDraft: true };
    if (Object.keys(kept).length) this.hands.draft(kept);
  }

  // --- undo ---

  undo() {
    if (this.stepBack()) { this.changed(); return true; }
    let name = this.desk.history.undo();
    if (!name && this.wentFrom !== null) { this.open(this.wentFrom); name = this.desk.history.undo(); }
    if (name) this.say(`Taken back: ${name}.`);
    return Boolean(name);
  }
  redo() {
    const name = this.desk.history.redo();
    if (name) this.say(`Done again: ${name}.`);
    return Boolean(name);
  }

  // --- keys: the desk asks here first, and goes on with those that are not taken ---

  key(event) {
    if (event.target.closest?.("button, a, summary") && (event.key === " " || event.key === "Enter")) return false;  // it is pressed
    this.sheet.root.classList.add("keyed");  // from here on the focus is shown
    const { key } = event, isControl = event.ctrlKey || event.metaKey;
    if (isControl) {
      if (key.toLowerCase() === "z") (event.shiftKey ? this.redo() : this.undo());
      else if (key.toLowerCase() === "y") this.redo();
      else return false;
      return true;
    }
    if (key === " ") {
      if (!event.repeat) { this.sheet.isSpace = true; this.sheet.wasPanned = false; this.sheet.redraw(); }
      return true;
    }
    if (this.take(event)) return true;
    if (event.altKey) return false;
    if (key === "u") return this.undo();
    if (key === "U") { this.redo(); return true; }
    if (key === "s" && this.desks.some(({ history }) => history.done.length)) { this.askBack(); return true; }
    if (key === "l") { this.isLoupe = !this.isLoupe; this.sheet.hideLoupe(); this.say(this.isLoupe ? "Loupe on." : "Loupe off."); return true; }
    if (key === "," || key === ".") { const to = this.index + (key === "," ? -1 : 1); if (this.desks[to]) this.open(to); return true; }
    const [dx, dy] = arrow(key);
    if (dx || dy) { this.sheet.moveCursor(dx, dy, event.shiftKey); return true; }
    return this.sheet.key(event);
  }

  /** Another page instead of this one: what is drawn goes, so that is asked. */
  async askBack() {
    if (await this.hands.ask("Give this page back? What you drew on it is lost.", "Give it back")) this.hands.giveBack();
  }

  keyup(event) {
    if (event.key !== " " || !this.sheet.isSpace) return;
    this.sheet.isSpace = false;
    event.preventDefault();
    if (!this.sheet.wasPanned && !document.querySelector("dialog[open]")) {
      if (this.sheet.cursor) this.setPoint?.(this.sheet.cursor);
      else this.say("Arrows move a cross over the picture; Space sets a point there.");
    }
    this.sheet.redraw();
  }

  // --- on to the next, and handing in: Enter and the desk's button ---

  /** The next picture without an answer, those after this one first; -1: none is left. */
  nextOpen() {
    const isOpen = ({ state, item }) => !this.answer(state, item), after = this.desks.findIndex((desk, index) => index > this.index && isOpen(desk));
    return after >= 0 ? after : this.desks.findIndex(isOpen);
  }

  /** After "none" was said or taken back: on to the next, as after every answer of one key. */
  saidNone(words) {
    if (!this.state.isNone) { this.say("Taken back."); return; }
    const from = this.index, open = this.nextOpen();
    if (open >= 0) this.open(open, from);
    this.say(open >= 0 ? `Picture ${from + 1}: ${words}. u takes it back.` : `Picture ${from + 1}: ${words}. Enter goes on.`);
  }

  submit() {
    if (this.desk.misfit) { this.say(this.desk.misfit); return; }
    if (this.accept()) return;
    if (!this.answer(this.state, this.item)) { this.say(this.missing()); return; }
    const open = this.nextOpen();
    if (open >= 0) { this.open(open); return; }
    if (this.isHandedIn) return;
    this.keep();
    this.isHandedIn = true;  // what is sent stays as it is
    this.hands.submit(this.desks.map(({ state, item }) => ({ position: item.position, data: {}, ...this.answer(state, item) })));
    if (!this.isGone) this.isHandedIn = false;  // it was not taken, and the desk has said why
  }
}

/** The step of an arrow key on x and y; zeros for any other key. */
export const arrow = (key) => ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] })[key] ?? [0, 0];

/** A box in screen px: dark beneath, bright above, so that it is seen on any picture. */
export const boxLines = (sheet, box, name) => {
  const [x, y] = sheet.toScreen(box.slice(0, 2)), [right, bottom] = sheet.toScreen(box.slice(2));
  const rect = (part) => svg("rect", { class: part, x, y, width: Math.max(right - x, 0), height: Math.max(bottom - y, 0) });
  return svg("g", { class: `box ${name}` }, rect("halo"), rect("line"));
};
