// Points: those of a skeleton in their order, each seen, hidden or not there, with the lines that join them.
// Left and right are the thing's own: they differ in colour, and the name says whose left it is.

import { Bench, DRAWING_KEYS, arrow } from "./bench.js";
import { clamp, round, svg } from "./canvas.js";
import { registerKind } from "./desk.js";
import { call, counted, el } from "./dom.js";

const REACH_PX = 14, TOUCH_REACH_PX = 26;
const ABSENT = 0, HIDDEN = 1, SEEN = 2;
const STATES = { [ABSENT]: "not there", [HIDDEN]: "hidden", [SEEN]: "seen" };

/** "left eye" -> "left eye (its own left)": a picture's left is often the thing's right. */
const ownSide = (name) => { const found = /\b(left|right)\b/.exec(name); return found ? `${name} (its own ${found[1]})` : name; };
const sideOf = (name) => /\b(left|right)\b/.exec(name)?.[1] ?? "middle";
const stateOf = (point) => (point ? ["absent", "hidden", "seen"][point[2]] : "open");

class Points extends Bench {
  constructor(page, root, hands, known) { super(page, root, Object.assign(Object.create(hands), { known })); }
  get known() { return this.hands.known; }

  begin(_item, given) {
    const shapes = given?.data?.shapes ?? [];
    return { things: shapes.map(({ skeleton, points }) => ({ skeleton, points: points.map((one) => [...one]) })), isNone: given?.answer === "none" };
  }

  /** Every skeleton that is known, and those that the shapes here name ("beak,eye,tail"). */
  skeleton(name) {
    const found = this.known.skeletons.find((one) => one.name === name);
    return found ?? { name, points: name.split(","), lines: [] };
  }
  get skeletonName() { return this.chosen?.skeleton ?? this.skeletonOfPage; }
  get points() { return this.skeleton(this.skeletonName).points; }
  get chosen() { return this.state.things[this.chosenIndex] ?? null; }
  placed(at = this.at) { return this.chosen?.points[at] ?? null; }
  /** What the desk knows the skeleton of a shape by: files bring names of their own, with their points' names beside; "" for none. */
  skeletonOf({ skeleton, names = [] }) {
    const name = skeleton.includes(",") || this.known.skeletons.some((one) => one.name === skeleton) ? skeleton : names.join(",");
    return this.known.is_fixed && name !== this.known.chosen ? "" : name;
  }
  get offered() { return this.proposed((shape) => shape.points && this.skeletonOf(shape)); }

  opened() {
    const shapes = this.page.items.flatMap((one) => one.marks).map((one) => one.shape).filter((one) => one?.skeleton);
    this.skeletonOfPage ??= shapes.map((one) => this.skeletonOf(one)).find(Boolean) ?? (this.known.chosen || this.skeleton("point").name);  // one point, until somebody chooses
    this.chosenIndex = this.state.things.length - 1;
    this.at = this.firstOpen();
    this.asHidden = false;
    this.grabbed = null;
    this.list = el("ol", { class: "points-list", "aria-label": "Points" });
    if (this.points.length > 1) this.place.append(this.list);
  }
  firstOpen() { const open = this.points.findIndex((_name, at) => !this.placed(at)); return open < 0 ? 0 : open; }
  get isComplete() { return Boolean(this.chosen) && this.points.every((_name, at) => this.placed(at)); }

  hint() {
    if (this.offered) return ["Points are proposed: ", el("kbd", {}, "Enter"), " takes them."];
    if (this.isComplete) return ["Every point has its answer. Drag to correct; ", el("kbd", {}, "m"), ` marks another ${this.name}.`];
    return [this.frames.length ? "The one in the dotted box. " : "", "Click where it is: ", el("strong", {}, ownSide(this.points[this.at])), this.asHidden ? ", hidden" : "", "."];
  }

  tools() {
    const now = this.placed()?.[2];
    const state = (value, word, key) => ({ word, key, isOn: now === undefined ? (value === HIDDEN ? this.asHidden : value === SEEN ? !this.asHidden : false) : now === value, run: () => this.setState(value) });
    const menu = el("select", { "aria-label": "Skeleton", disabled: Boolean(this.state.things.length), onchange: (event) => { this.skeletonOfPage = event.target.value; this.at = 0; this.changed(); this.sheet.root.focus({ preventScroll: true }); } },
      [...new Set([...this.known.skeletons.map((one) => one.name), this.skeletonName])].map((name) => el("option", { value: name, selected: name === this.skeletonName }, name)));
    const first = this.known.skeletons.length > 1 && !this.known.is_fixed ? [[menu]] : [];  // the project may have chosen
    return [...first, [state(SEEN, "Seen", "v"), state(HIDDEN, "Hidden", "h"), state(ABSENT, "Not there", "x")],
      [{ word: "Remove", key: "Del", icon: "trash", isIcon: true, isOff: !this.placed(), run: () => this.remove() }]];
  }
  answers() { return [{ word: "None here", key: "n", isOn: this.state.isNone, isOff: this.state.things.length > 0, run: () => this.sayNone() }]; }
  others() { return this.several(this.state.things.length, this.chosenIndex); }

  answer(state) {
    const { things } = state;
    if (!things.length) return state.isNone ? { answer: "none", data: {} } : null;
    const isReady = things.every(({ skeleton, points }) => this.skeleton(skeleton).points.every((_name, at) => points[at]) && points.some((one) => one[2]));
    return isReady ? { answer: "points", data: { shapes: things.map(({ skeleton, points }) => ({ skeleton, points: points.map(([x, y, v]) => (v ? [x, y, v] : [0, 0, 0])), tool: "points" })) } } : null;
  }
  missing() {
    if (!this.chosen) return `Set the points of each ${this.name}, or press n where there is none.`;
    if (this.chosen.points.every((one) => !one || !one[2])) return "No point is there: remove it (Del), or press n after undoing.";
    return `${ownSide(this.points[this.firstOpen()])} has no answer yet: click it, or press x where it is not there.`;
  }

  changed() {
    super.changed();
    if (!this.sheet || !this.list) return;
    if (this.list.isConnected !== this.points.length > 1) { if (this.list.isConnected) this.list.remove(); else this.place.append(this.list); }
    this.list.replaceChildren(...this.points.map((name, at) => {
      const point = this.placed(at), isNow = at === this.at;
      return el("li", { class: stateOf(point) }, el("button", { type: "button", "aria-current": String(isNow), tabindex: isNow ? "0" : "-1", title: ownSide(name), onclick: () => { this.go(at); this.sheet.root.focus({ preventScroll: true }); } },
        el("span", { class: "dot" }), el("span", { class: "word" }, name), el("span", { class: "state" }, point ? STATES[point[2]] : "")));
    }));
    const now = this.list.querySelector("[aria-current=true]");
    if (now) { const { list } = this, box = now.parentElement; list.scrollTop = clamp(list.scrollTop, box.offsetTop - list.offsetTop - list.clientHeight + box.offsetHeight, Math.max(box.offsetTop - list.offsetTop, 0)); list.scrollLeft = box.offsetLeft - list.offsetLeft - (list.clientWidth - box.offsetWidth) / 2; }
  }

  // --- acts ---

  put(name, things, { chosen = this.chosenIndex, at = this.at, isNone = false } = {}) {
    const { state, desk } = this, before = { things: state.things, chosen: this.chosenIndex, at: this.at, isNone: state.isNone };
    const set = (next) => {
      state.things = next.things;
      state.isNone = next.isNone;
      if (this.desk === desk) { this.chosenIndex = clamp(next.chosen, -1, next.things.length - 1); this.at = next.at; }
    };
    desk.history.act(name, () => set({ things, chosen, at, isNone }), () => set(before));
  }

  /** One point of the chosen thing (of a new one where none is chosen): [x, y, v], or null to take it away. */
  putPoint(name, at, point, next = at) {
    const old = this.chosen ?? { skeleton: this.skeletonName, points: this.points.map(() => null) };
    const thing = { ...old, points: old.points.map((one, place) => (place === at ? point : one)) };
    const isGone = thing.points.every((one) => !one);
    const things = this.chosen ? this.state.things.map((one) => (one === old ? thing : one)).filter((one) => one !== thing || !isGone) : [...this.state.things, thing];
    this.put(name, things, { chosen: this.chosen ? this.chosenIndex : things.length - 1, at: next });
  }

  setPoint(point) {
    const place = this.sheet.within(point).map(round), name = this.points[this.at], { at } = this;
    const value = this.asHidden ? HIDDEN : SEEN, isNew = !this.placed();
    const next = isNew ? this.after(at) : at;
    this.asHidden = false;
    this.putPoint(isNew ? ownSide(name) : "the move", at, [...place, isNew ? value : Math.max(this.placed()[2], HIDDEN)], next);
    this.say(`${ownSide(name)}: ${STATES[value]} at ${place.map(Math.round).join(", ")}. ${this.nextWords()}`);
  }
  after(at) { for (let step = 1; step < this.points.length; step += 1) { const place = (at + step) % this.points.length; if (!this.placed(place)) return place; } return at; }
  nextWords() { return this.isComplete ? "Every point has its answer: Enter goes on." : `Next: ${ownSide(this.points[this.at])}.`; }

  setState(value) {
    const now = this.placed(), { at } = this, name = ownSide(this.points[at]);
    if (value === ABSENT) { this.putPoint(`${name}: not there`, at, [now?.[0] ?? 0, now?.[1] ?? 0, ABSENT], this.after(at)); this.say(`${name}: not there. ${this.nextWords()}`); return; }
    if (now && (now[2] || now[0] || now[1])) { this.putPoint(`${name}: ${STATES[value]}`, at, [now[0], now[1], value]); this.say(`${name}: ${STATES[value]}.`); return; }
    if (now) this.putPoint(`${name}: not there`, at, null);
    this.asHidden = value === HIDDEN;
    this.changed();
    this.say(this.asHidden ? `Click where ${name} must be, though it is hidden.` : `Click ${name}.`);
  }

  go(at) { this.at = clamp(at, 0, this.points.length - 1); this.asHidden = false; this.changed(); this.say(`${ownSide(this.points[this.at])}${this.placed() ? `: ${STATES[this.placed()[2]]}` : ""}.`); }
  choose(index) { this.chosenIndex = index; this.at = this.firstOpen(); this.changed(); this.say(`Thing ${index + 1} is chosen.`); }
  another() { this.chosenIndex = -1; this.at = 0; this.changed(); this.say(`Another ${this.name}: click ${ownSide(this.points[0])}.`); }
  remove() { if (!this.placed()) return; const name = ownSide(this.points[this.at]); this.putPoint(`that ${name} was removed`, this.at, null); this.say(`${name} removed.`); }
  sayNone() {
    if (this.state.things.length) { this.say("Points are set: remove them first."); return; }
    this.put("the answer", [], { chosen: -1, isNone: !this.state.isNone });
    this.saidNone(`no ${this.name}`);
  }
  accept() {
    const { offered } = this;
    if (!offered) return false;
    const { points } = offered.shape, skeleton = this.skeletonOf(offered.shape);
    this.put("the proposal", [{ skeleton, points: points.map((one) => [...one]) }], { chosen: 0, at: 0 });
    this.say("Taken as they are. Enter goes on.");
    return true;
  }

  // --- pointer ---

  near(point, isTouch) {
    if (!point) return -1;
    let best = -1, far = (isTouch ? TOUCH_REACH_PX : REACH_PX) / this.sheet.k;
    for (const [at, one] of (this.chosen?.points ?? []).entries()) if (one?.[2] && Math.hypot(one[0] - point[0], one[1] - point[1]) < far) { far = Math.hypot(one[0] - point[0], one[1] - point[1]); best = at; }
    return best;
  }
  cursor(at) { return this.grabbed ? "grabbing" : this.near(at, false) >= 0 ? "grab" : this.isComplete ? "default" : "crosshair"; }
  get takesRight() { return true; }

  down(point, event) {
    const at = this.near(point, event.pointerType !== "mouse"), place = this.sheet.within(point);
    if (at >= 0) this.grabbed = { at, from: point, now: this.chosen.points[at] };
    else if (this.isComplete) { this.pickOther(point); return false; }
    else { this.pressed = place; if (event.button === 2) this.asHidden = true; this.look(place); }
    return true;
  }
  /** A click beside the points of a thing that is done chooses another one whose point it hits. */
  pickOther(point) {
    const index = this.state.things.findIndex(({ points }) => points.some((one) => one?.[2] && Math.hypot(one[0] - point[0], one[1] - point[1]) * this.sheet.k < REACH_PX));
    if (index >= 0) this.choose(index);
  }
  move(point) {
    const place = this.sheet.within(point);
    if (this.grabbed) { this.grabbed.now = [...place.map(round), this.chosen.points[this.grabbed.at][2]]; this.look(place); } else if (this.pressed) { this.pressed = place; this.look(place); }
  }
  up(point) {
    if (this.grabbed) {
      const { at, from, now } = this.grabbed, isMoved = Math.hypot(point[0] - from[0], point[1] - from[1]) * this.sheet.k >= 2;
      this.grabbed = null;
      this.sheet.hideLoupe();
      if (!isMoved) { this.go(at); return; }
      this.at = at;
      this.putPoint("the move", at, now);
      this.say(`${ownSide(this.points[at])} at ${now.slice(0, 2).map(Math.round).join(", ")}.`);
    } else if (this.pressed) { this.pressed = null; this.setPoint(point); }
  }
  cancel() { this.grabbed = null; this.pressed = null; }
  hover(point) { if (!this.isComplete) this.look(this.sheet.within(point)); else this.sheet.hideLoupe(); }
  look(point) { if (this.isLoupe) this.sheet.showLoupe(point, []); }

  // --- keys ---

  take(event) {
    const { key } = event, [dx, dy] = arrow(key);
    if ((dx || dy) && this.placed()?.[2] && !this.sheet.cursor) {
      const step = event.shiftKey ? 10 : 1, [x, y, value] = this.placed(), place = this.sheet.within([x + dx * step, y + dy * step]).map(round);
      this.putPoint("the move", this.at, [...place, value]);
      this.say(`${ownSide(this.points[this.at])} at ${place.map(Math.round).join(", ")}.`);
      return true;
    }
    if (event.altKey) return false;
    const value = { v: SEEN, h: HIDDEN, x: ABSENT }[key];
    if (value !== undefined) this.setState(value);
    else if (key === "m" && this.chosen) this.another();
    else if (key === "n") this.sayNone();
    else if (/^[1-9]$/.test(key) && this.state.things[Number(key) - 1]) this.choose(Number(key) - 1);
    else if (key === "Delete" || key === "Backspace") this.remove();
    else if (key === "Escape" && this.sheet.cursor) { this.sheet.cursor = null; this.changed(); }
    else if (key === "Tab" && document.activeElement === this.sheet.root && this.points[this.at + (event.shiftKey ? -1 : 1)]) this.go(this.at + (event.shiftKey ? -1 : 1));
    else return false;
    return true;
  }

  // --- what is seen ---

  draw(layer) {
    const things = this.offered ? [{ skeleton: this.skeletonOf(this.offered.shape), points: this.offered.shape.points }] : this.state.things;
    this.framed(layer);
    things.forEach((thing, index) => layer.append(this.figure(thing, index === this.chosenIndex)));
    const shown = this.grabbed ? this.grabbed.now : this.placed();
    if (shown?.[2]) this.label(layer, shown, this.points[this.grabbed?.at ?? this.at]);
    else if (this.pressed ?? this.sheet.at) { if (!this.isComplete && this.near(this.sheet.at, false) < 0) this.label(layer, this.pressed ?? this.sheet.within(this.sheet.at), this.points[this.at], false); }
  }

  figure({ skeleton, points }, isChosen) {
    const group = svg("g", { class: isChosen ? "figure chosen" : "figure" }), { lines, points: names } = this.skeleton(skeleton);
    const now = points.map((one, at) => (isChosen && this.grabbed?.at === at ? this.grabbed.now : one));
    for (const [from, to] of lines) {
      if (!now[from]?.[2] || !now[to]?.[2]) continue;
      const [ax, ay] = this.sheet.toScreen(now[from]), [bx, by] = this.sheet.toScreen(now[to]), d = `M${round(ax)} ${round(ay)}L${round(bx)} ${round(by)}`;
      group.append(svg("g", { class: "limb" }, svg("path", { class: "halo", d }), svg("path", { class: "line", d })));
    }
    for (const [at, one] of now.entries()) {
      if (!one?.[2]) continue;
      const [cx, cy] = this.sheet.toScreen(one);
      group.append(svg("circle", { class: `joint ${sideOf(names[at] ?? "")}${one[2] === HIDDEN ? " hidden" : ""}`, cx, cy, r: isChosen ? 5 : 3.5 }));
      if (isChosen && at === this.at) group.append(svg("circle", { class: "joint-ring", cx, cy, r: 9 }));
    }
    return group;
  }
  label(layer, point, name, isSet = true) {
    const [x, y] = this.sheet.toScreen(point), isRight = x > this.sheet.root.clientWidth - 150;
    layer.append(svg("text", { class: isSet ? "joint-name" : "joint-name open", x: x + (isRight ? -14 : 14), y: y + (isSet ? -10 : 22), "text-anchor": isRight ? "end" : "start" }, name));
  }
}

/** Skeletons are asked for once per concept; without an answer there is the one point that every concept has. */
const asked = new Map();
const known = (concept) => {
  if (!asked.has(concept)) asked.set(concept, call(`/desk/skeletons?concept=${encodeURIComponent(concept)}`).catch(() => { asked.delete(concept); return { chosen: "point", skeletons: [{ name: "point", points: ["point"], lines: [] }] }; }));
  return asked.get(concept);
};

/** The page is drawn as soon as its skeleton is known; keys and the button wait for it. */
const show = (page, root, hands) => {
  let bench = null, isGone = false;
  known(page.concept.concept_id).then((found) => { if (!isGone) bench = new Points(page, root, hands, found); });
  return {
    get bench() { return bench; },
    submit: () => bench?.submit(), key: (event) => bench?.key(event) ?? false,
    leave: () => { isGone = true; bench?.leave(); },
  };
};

registerKind("points", {
  question: (page) => page.items.some((item) => item.marks.some((one) => one.shape?.box)) ? `Set the points of the ${page.concept.name} in the dotted box: this one alone` : `Set the points of every ${page.concept.name}, each on its own`,
  keys: [
    ["v", "seen: it is visible; left and right are the thing's own, not the picture's"], ["h", "hidden: something covers it, and one can tell where it is (also the right button)"], ["x", "not there: outside the picture, or nobody could tell"],
    ["Tab", "the next point; arrows move it, Del removes it"], ["m", "another one"], ["1 2 3", "choose one of several"], ["n", "none here, and on to the next picture"],
    ...DRAWING_KEYS,
  ],
  show,
});
