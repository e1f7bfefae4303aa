// Boxes: drawn by dragging or by four clicks on the extreme points (Papadopoulos et al. 2017), corrected by handles and
// by arrows; and the two looks that others take at them, at one box (is it good?) and at all (is one missing?).

import { Bench, DRAWING_KEYS, arrow, boxLines } from "./bench.js";
import { clamp, extent, round, svg } from "./canvas.js";
import { registerKind } from "./desk.js";
import { counted, el } from "./dom.js";
import { Coverage, Quality } from "./looks.js";

const LEAST_PX = 3;       // on the screen: less is a click
const LEAST_SIDE = 2;     // px of the picture: the desk takes no smaller box
const GRIP_PX = 12, TOUCH_GRIP_PX = 24;  // how near a side or corner is grabbed
const SIDES = ["left", "top", "right", "bottom"];
const WAY = "pictus-box-way";

/** A box that is not settled: a model's or a file's, or one that was found bad and is drawn again. */
const isProposal = (mark) => mark.state !== undefined && mark.state !== "accepted";
const liking = () => { try { return localStorage.getItem(WAY) === "extreme" ? "extreme" : "drag"; } catch { return "drag"; } };  // kept from us: as new
const inWords = ([x1, y1, x2, y2]) => `${Math.round(x2 - x1)} × ${Math.round(y2 - y1)} px at ${Math.round(x1)}, ${Math.round(y1)}`;
const corners = ([x1, y1, x2, y2]) => [[x1, y1], [x2, y1], [x2, y2], [x1, y2], [x1, y1]];

class Boxes extends Bench {
  begin(_item, given) {
    const shapes = given?.data?.shapes ?? [];
    return { boxes: shapes.filter((one) => one.box).map((one) => ({ ...one })), isNone: !shapes.length && given?.answer === "none" };
  }

  get accepted() { return this.item.marks.filter((one) => one.shape?.box && !isProposal(one)); }
  get proposals() { return this.item.marks.filter((one) => one.shape?.box && isProposal(one)); }
  get chosen() { return this.state.boxes[this.chosenIndex] ?? null; }

  opened() {
    this.way ??= liking();
    this.chosenIndex = this.state.boxes.length ? 0 : -1;
    this.side = null;
    this.begun = null;     // the first corner of a box that is being dragged
    this.clicks = [];      // of four
    this.grip = null;
    this.offered = this.proposals.length && !this.state.boxes.length && !this.state.isNone ? 0 : -1;
  }

  hint() {
    const offered = this.proposals[this.offered], n = this.accepted.length;
    if (offered?.state === "rejected") return ["This box was found bad: correct it by its handles, or draw it anew."];
    if (offered) return ["A box is proposed: ", el("kbd", {}, "Enter"), " takes it, its handles correct it."];
    const how = this.way === "extreme" ? "Click its highest, lowest, leftmost and rightmost points." : "Only as far as it can be seen.";
    return [n ? `${how} ${counted(n, "box is", "boxes are")} there already.` : how];
  }

  tools() {
    const way = (name, word, key) => ({ word, key, icon: name, isOn: this.way === name, run: () => this.use(name) });
    return [[way("drag", "Drag", "d"), way("extreme", "Four points", "e")], [{ word: "Remove", key: "Del", icon: "trash", isIcon: true, isOff: !this.chosen, run: () => this.remove() }]];
  }
  answers() { return [{ word: this.accepted.length ? "None left" : "None here", key: "n", isOn: this.state.isNone, run: () => this.sayNone() }]; }
  answer(state) {
    if (state.boxes.length) return { answer: "box", data: { shapes: state.boxes.map(({ box, clicks, tool }) => ({ box, tool, ...(clicks ? { clicks } : {}) })) } };
    return state.isNone ? { answer: "none", data: {} } : null;
  }
  missing() { return `Draw a box first, or press n where no ${this.name} is left without one.`; }

  // --- acts, each with its reversal ---

  /** Replace the boxes of this picture; states are small, so both are kept whole. */
  put(name, boxes, isNone = false, chosen = boxes.length - 1) {
    const before = { ...this.state, chosen: this.chosenIndex, offered: this.offered }, { state, desk } = this;
    const set = (next) => {
      state.boxes = next.boxes;
      state.isNone = next.isNone;
      if (this.desk !== desk) return;
      this.chosenIndex = clamp(next.chosen, -1, next.boxes.length - 1);
      this.offered = next.offered;
    };
    desk.history.act(name, () => set({ boxes, isNone, chosen, offered: boxes.length || isNone ? -1 : this.offered }), () => set(before));
  }

  add(box, extra) {
    const clipped = this.clip(box);
    this.side = null;
    this.put("the box", [{ box: clipped, ...extra }]);  // a page asks for one of each picture
    this.say(`Box: ${inWords(clipped)}.`);
  }

  /** Change one box; clicks go with it as long as they are still its extreme points. */
  change(index, box, name = "the change", clicks = this.state.boxes[index].clicks) {
    const boxes = [...this.state.boxes], clipped = this.clip(box), one = { ...boxes[index], box: clipped };
    delete one.clicks;
    if (clicks && extent(clicks).every((value, place) => Math.abs(value - clipped[place]) < 0.5)) one.clicks = clicks;
    boxes[index] = one;
    this.put(name, boxes, false, index);
    this.say(`Box: ${inWords(clipped)}.`);
  }

  clip([x1, y1, x2, y2]) {
    const { width, height } = this.item, least = Math.min(LEAST_SIDE, width, height);
    const left = clamp(Math.min(x1, x2), 0, width - least), top = clamp(Math.min(y1, y2), 0, height - least);
    return [left, top, clamp(Math.max(x1, x2), left + least, width), clamp(Math.max(y1, y2), top + least, height)].map(round);
  }

  remove() {
    if (!this.chosen) return;
    this.put("that the box was removed", this.state.boxes.filter((_one, index) => index !== this.chosenIndex));
    this.say("Box removed.");
  }

  sayNone() {
    this.stopBegun();
    this.put("the answer", this.state.isNone ? this.state.boxes : [], !this.state.isNone);
    this.saidNone(`no ${this.name} is left without a box`);
  }

  use(way) {
    this.way = way;
    try { localStorage.setItem(WAY, way); } catch { /* kept from us: it begins with dragging next time */ }
    this.stopBegun();
    this.changed();
    this.say(way === "drag" ? "Drag from corner to corner." : "Click the highest, lowest, leftmost and rightmost points, in any order.");
  }

  stopBegun() { this.begun = null; this.clicks = []; this.grip = null; this.sheet.hideLoupe(); }
  isMidway() { return this.clicks.length > 0 || Boolean(this.begun); }
  stepBack() {
    if (!this.isMidway()) return false;
    if (this.begun) this.begun = null;
    else this.clicks.pop();
    this.say(this.clicks.length ? `${counted(this.clicks.length, "point")} of 4.` : "Taken back.");
    return true;
  }

  accept() {
    if (this.offered < 0 || this.state.boxes.length) return false;
    const mark = this.proposals[this.offered];
    if (mark.state === "rejected") return false;
    this.add(mark.shape.box, { tool: "proposal" });
    this.say(`Taken as it is: ${inWords(this.chosen.box)}. Enter goes on.`);
    return true;
  }

  // --- pointer ---

  /** The part of the box (own, else proposed) within reach: {index, dx, dy} with -1 | 0 | 1 per axis; 0, 0 is all of it. */
  reach(point, isTouch) {
    const target = this.chosen ?? (this.offered >= 0 ? { box: this.proposals[this.offered].shape.box } : null);
    if (!target || !point) return null;
    const [x1, y1, x2, y2] = target.box, reach = (isTouch ? TOUCH_GRIP_PX : GRIP_PX) / this.sheet.k, [x, y] = point;
    if (x < x1 - reach || x > x2 + reach || y < y1 - reach || y > y2 + reach) return null;
    const near = (value, low, high) => {
      const [toLow, toHigh] = [Math.abs(value - low), Math.abs(value - high)];
      return Math.min(toLow, toHigh) > Math.min(reach, (high - low) / 3 + 4 / this.sheet.k) ? 0 : toLow < toHigh ? -1 : 1;
    };
    return { dx: near(x, x1, x2), dy: near(y, y1, y2), box: target.box };
  }

  cursor(at) {
    if (this.grip) return "grabbing";
    const reach = this.isMidway() ? null : this.reach(at, false);
    if (!reach) return "crosshair";
    if (!reach.dx && !reach.dy) return this.chosen ? "move" : "pointer";
    return reach.dx && reach.dy ? (reach.dx === reach.dy ? "nwse-resize" : "nesw-resize") : reach.dx ? "ew-resize" : "ns-resize";
  }

  down(point, event) {
    const reach = this.isMidway() ? null : this.reach(point, event.pointerType !== "mouse");
    if (reach && (this.chosen || reach.dx || reach.dy)) {
      this.grip = { ...reach, from: point, box: [...reach.box], now: [...reach.box] };
      this.side = null;
      return true;
    }
    if (this.way === "extreme") { this.pressed = this.sheet.within(point); this.look(this.pressed); return true; }
    this.begun = { from: this.sheet.within(point), to: this.sheet.within(point), by: "pointer" };
    return true;
  }

  move(point) {
    if (this.grip) {
      const { dx, dy, from, box } = this.grip, mx = point[0] - from[0], my = point[1] - from[1];
      this.grip.now = dx || dy
        ? this.clip([box[0] + (dx < 0 ? mx : 0), box[1] + (dy < 0 ? my : 0), box[2] + (dx > 0 ? mx : 0), box[3] + (dy > 0 ? my : 0)])
        : this.moved(box, mx, my);
      if (dx || dy) this.look([dx < 0 ? this.grip.now[0] : dx > 0 ? this.grip.now[2] : point[0], dy < 0 ? this.grip.now[1] : dy > 0 ? this.grip.now[3] : point[1]]);
    } else if (this.pressed) { this.pressed = this.sheet.within(point); this.look(this.pressed); }
    else if (this.begun) { this.begun.to = this.sheet.within(point); this.look(this.begun.to); }
  }

  /** The whole box elsewhere, as large as it was, within the picture. */
  moved([x1, y1, x2, y2], mx, my) {
    const dx = clamp(mx, -x1, this.item.width - x2), dy = clamp(my, -y1, this.item.height - y2);
    return [x1 + dx, y1 + dy, x2 + dx, y2 + dy];
  }

  up(point, event) {
    this.move(point);
    if (event.pointerType !== "mouse" || this.way === "drag") this.sheet.hideLoupe();
    if (this.grip) {
      const { now, box, from } = this.grip, isMoved = now.some((value, place) => value !== box[place]);
      const far = Math.hypot(point[0] - from[0], point[1] - from[1]) * this.sheet.k;
      this.grip = null;
      if (!isMoved || far < 1) { this.changed(); return; }
      if (!this.chosen) this.add(now, { tool: "drag" });
      else this.change(this.chosenIndex, now, "the change", this.carried(box, now));
    } else if (this.pressed) {
      this.pressed = null;
      this.setPoint(this.sheet.within(point));
    } else if (this.begun) {
      const { from, to } = this.begun;
      this.begun = null;
      if (Math.abs(to[0] - from[0]) * this.sheet.k >= LEAST_PX && Math.abs(to[1] - from[1]) * this.sheet.k >= LEAST_PX) this.add([...from, ...to], { tool: "drag" });
      else { this.pick(from); this.changed(); }
    }
  }

  /** Clicks of a box that was moved or one of whose sides was: the click that made a side goes with it. */
  carried(before, after) {
    const clicks = this.chosen?.clicks;
    if (!clicks) return undefined;
    const places = [[0, 0], [1, 1], [0, 2], [1, 3]];
    const isWhole = places.every(([axis, side]) => Math.abs((after[side] - before[side]) - (after[axis] - before[axis])) < 0.01);
    return clicks.map((click) => {
      const next = [...click];
      if (isWhole) { next[0] += after[0] - before[0]; next[1] += after[1] - before[1]; }
      else for (const [axis, side] of places) if (Math.abs(click[axis] - before[side]) < 0.01) next[axis] = after[side];
      return next.map(round);
    });
  }

  cancel() { this.grip = null; this.begun = null; this.pressed = null; }
  hover(point) { if (this.way === "extreme" || this.begun) { if (this.begun?.by === "key") this.begun.to = point; this.look(this.sheet.within(point)); } }

  /** A click on nothing chooses the smallest box it lies in, own before proposed. */
  pick([x, y]) {
    const holds = ({ box }) => x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3], area = ({ box }) => (box[2] - box[0]) * (box[3] - box[1]);
    const own = this.state.boxes.filter(holds).sort((a, b) => area(a) - area(b))[0];
    this.chosenIndex = own ? this.state.boxes.indexOf(own) : -1;
    const offered = this.proposals.map((one) => one.shape).filter(holds).sort((a, b) => area(a) - area(b))[0];
    if (!own && offered && !this.state.boxes.length) this.offered = this.proposals.findIndex((one) => one.shape === offered);
  }

  look(point) {
    if (!this.isLoupe) return;
    const lines = this.grip ? [corners(this.grip.now)] : this.begun ? [corners(extent([this.begun.from, this.begun.to]))] : this.clicks.map(([x, y]) => [[x - 2, y], [x + 2, y]]);
    this.sheet.showLoupe(point, lines);
  }

  /** One of four points, or a corner: by a click or at the keyboard's cross. */
  setPoint(point) {
    const place = point.map(round);
    if (this.way === "drag") {
      if (!this.begun) { this.begun = { from: place, to: place, by: "key" }; this.say(`Corner at ${place.map(Math.round).join(", ")}. Space sets the opposite one.`); this.changed(); return; }
      const box = extent([this.begun.from, place]);
      this.begun = null;
      if (box[2] - box[0] >= LEAST_SIDE && box[3] - box[1] >= LEAST_SIDE) this.add(box, { tool: "drag" });
      else this.say("A box needs some width and height.", true);
      return;
    }
    this.clicks.push(place);
    if (this.clicks.length < 4) {
      this.say(`${counted(this.clicks.length, "point")} of 4, at ${place.map(Math.round).join(", ")}.`);
      this.changed();
      return;
    }
    const clicks = this.clicks, box = extent(clicks);
    this.clicks = [];
    this.sheet.hideLoupe();
    if (box[2] - box[0] < LEAST_SIDE || box[3] - box[1] < LEAST_SIDE) { this.say("These four points lie on one line.", true); this.changed(); return; }
    this.add(box, { clicks, tool: "extreme" });
  }

  // --- keys ---

  take(event) {
    const { key } = event, [dx, dy] = arrow(key);
    if ((dx || dy) && this.chosen && !this.isMidway() && !this.sheet.cursor) { this.nudge(dx, dy, event); return true; }
    if (event.altKey) return false;
    if (key === "d" || key === "e") this.use(key === "d" ? "drag" : "extreme");
    else if (key === "n") this.sayNone();
    else if (key === "p" && this.proposals.length && !this.state.boxes.length) { this.offered = (this.offered + 1) % this.proposals.length; this.changed(); this.say(`Proposal ${this.offered + 1} of ${this.proposals.length}: ${inWords(this.proposals[this.offered].shape.box)}. Enter takes it.`); }
    else if ((key === "Delete" || key === "Backspace") && this.chosen) this.remove();
    else if (key === "Escape" && (this.isMidway() || this.sheet.cursor || this.chosen || this.side)) this.escape();
    else if (key === "Tab" && this.chosen && document.activeElement === this.sheet.root) return this.nextSide(event.shiftKey);
    else return false;
    return true;
  }

  escape() {
    if (this.isMidway()) { this.stopBegun(); this.say("Stopped."); }
    else if (this.sheet.cursor) this.sheet.cursor = null;
    else { this.chosenIndex = -1; this.side = null; this.say("Nothing is chosen."); }
    this.changed();
  }

  /** Tab goes round the sides once and then on to the buttons: nobody is caught in here. */
  nextSide(isBack) {
    const at = this.side ? SIDES.indexOf(this.side) : isBack ? SIDES.length : -1, next = SIDES[at + (isBack ? -1 : 1)];
    this.side = next ?? null;
    if (next) this.say(`The ${next} side: Alt and arrows move it.`);
    this.sheet.redraw();
    return Boolean(next);
  }

  nudge(dx, dy, { shiftKey, altKey }) {
    const step = shiftKey ? 10 : 1, before = this.chosen.box, box = [...before];
    if (altKey) {
      const side = this.side ?? (dx ? (dx > 0 ? "right" : "left") : dy > 0 ? "bottom" : "top"), place = SIDES.indexOf(side), by = place % 2 ? dy : dx;
      if (!by) { this.say(`The ${side} side moves ${place % 2 ? "up and down" : "left and right"}.`, true); return; }
      this.side = side;
      box[place] = place < 2 ? clamp(box[place] + by * step, 0, box[place + 2] - LEAST_SIDE) : clamp(box[place] + by * step, box[place - 2] + LEAST_SIDE, place === 2 ? this.item.width : this.item.height);
      this.change(this.chosenIndex, box, "the change", this.carried(before, box.map(round)));
    } else {
      const moved = this.moved(before, dx * step, dy * step);
      this.change(this.chosenIndex, moved, "the change", this.carried(before, moved));
    }
  }

  // --- what is seen ---

  draw(layer) {
    const { sheet } = this;
    for (const mark of this.accepted) layer.append(boxLines(sheet, mark.shape.box, "accepted"));
    if (!this.state.boxes.length && !this.grip) this.proposals.forEach((mark, index) => layer.append(boxLines(sheet, mark.shape.box, index === this.offered ? "offered" : "proposed")));
    this.state.boxes.forEach(({ box }, index) => { if (!(this.grip && index === this.chosenIndex)) layer.append(boxLines(sheet, box, index === this.chosenIndex ? "own chosen" : "own")); });
    if (this.grip) layer.append(boxLines(sheet, this.grip.now, "own chosen"));
    if (this.begun) layer.append(boxLines(sheet, extent([this.begun.from, this.begun.to]), "own begun"));
    const handled = this.grip ? { box: this.grip.now } : this.begun ? null : this.chosen ?? (this.offered >= 0 && !this.state.boxes.length ? this.proposals[this.offered].shape : null);
    if (handled && !this.clicks.length) layer.append(this.handles(handled.box));
    for (const one of this.chosen?.clicks ?? []) if (!this.grip) layer.append(this.dot(one, "click kept"));
    for (const one of this.clicks) layer.append(this.dot(one, "click"));
    if (sheet.at && !this.grip && !this.reach(sheet.at, false) && !sheet.isSpace && !sheet.panning) layer.append(this.crosshair(sheet.toScreen(sheet.within(sheet.at))));
  }

  crosshair([x, y]) {
    const path = (name) => svg("path", { class: name, d: `M0 ${Math.round(y) + .5}H${this.sheet.root.clientWidth}M${Math.round(x) + .5} 0V${this.sheet.root.clientHeight}` });
    return svg("g", { class: "crosshair" }, path("halo"), path("line"));
  }

  handles([x1, y1, x2, y2]) {
    const group = svg("g", { class: "handles" }), [mx, my] = [(x1 + x2) / 2, (y1 + y2) / 2];
    const sides = { left: [x1, my], top: [mx, y1], right: [x2, my], bottom: [mx, y2] };
    for (const point of [[x1, y1], [x2, y1], [x2, y2], [x1, y2]]) { const [cx, cy] = this.sheet.toScreen(point); group.append(svg("rect", { x: cx - 4.5, y: cy - 4.5, width: 9, height: 9 })); }
    if (this.side) {
      const ends = { left: [[x1, y1], [x1, y2]], top: [[x1, y1], [x2, y1]], right: [[x2, y1], [x2, y2]], bottom: [[x1, y2], [x2, y2]] }[this.side].map((one) => this.sheet.toScreen(one));
      group.append(svg("line", { class: "side", x1: ends[0][0], y1: ends[0][1], x2: ends[1][0], y2: ends[1][1] }));
    }
    for (const [name, point] of Object.entries(sides)) { const [cx, cy] = this.sheet.toScreen(point); group.append(svg("circle", { class: name === this.side ? "side-chosen" : "", cx, cy, r: name === this.side ? 6 : 4 })); }
    return group;
  }
}

registerKind("box", {
  question: (page) => `Draw a box around one ${page.concept.name}`,
  keys: [
    ["d", "drag a box from corner to corner; only what can be seen: it ends where the visible part ends"], ["e", "four points: the highest, lowest, leftmost and rightmost, in any order"],
    ["n", "none left without a box, or none at all"], ["p", "the next proposal"], ["Tab", "choose a side of the box"],
    ["Alt ← ↑ → ↓", "move the chosen side alone"], ["Del", "remove the box"], ...DRAWING_KEYS,
  ],
  show: (page, root, hands) => new Boxes(page, root, hands),
});
registerKind("box-quality", {
  question: (page) => `Is this box good for one ${page.concept.name}?`,
  keys: [
    ["g 1", "good: everything that can be seen of it is inside, and no side could move in"], ["b 2", "bad: it cuts something off, leaves room, holds several or something else"],
    [", .", "the picture before, the next one"], ["+ − 0", "larger, smaller, as it was"],
  ],
  show: (page, root, hands) => new Quality(page, root, hands),
});
registerKind("box-coverage", {
  question: (page) => `Does every ${page.concept.name} have a box?`,
  keys: [
    ["c 1", "covered: every one that can be seen has a box"], ["m 2", "missing: at least one has none"],
    [", .", "the picture before, the next one"], ["+ − 0", "larger, smaller, the whole picture"],
  ],
  show: (page, root, hands) => new Coverage(page, root, hands),
});
