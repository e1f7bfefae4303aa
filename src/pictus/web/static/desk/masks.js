// Masks: polygons whose points can be moved, a brush and an eraser, holes filled at a click, and regions that the
// server finds from a few clicks or a box. Stored as polygons where they were drawn as such, else as COCO run lengths.

import { Bench, DRAWING_KEYS, arrow, boxLines } from "./bench.js";
import { clamp, extent, round, svg } from "./canvas.js";
import { registerKind } from "./desk.js";
import { Refused, call, counted, el, worded } from "./dom.js";
import { Paint } from "./paint.js";
import { Raster, decode, difference, encode, filledAll, flip } from "./rle.js";

const REACH_PX = 12, TOUCH_REACH_PX = 24;  // how near a point or an edge is grabbed, on the screen
const DRAG_PX = 6;                         // less is a click, not a box
const LEAST_BRUSH = 1, MOST_BRUSH = 400;   // px across, on the screen
const TOOLS = [["polygon", "Outline", "p"], ["brush", "Brush", "b"], ["eraser", "Eraser", "e"], ["fill", "Fill", "f"], ["clicks", "Find", "c"]];
const HINTS = {
  polygon: "Click from point to point around it; Enter or the first point closes. Drag points, click on an edge for one more.",
  brush: "Paint it: [ and ] change the size.", eraser: "Rub out: [ and ] change the size.",
  fill: "Click into a hole of the mask to fill it.",
  clicks: "Click on it, or drag a box around it. Alt or the right button: a click on what is not it.",
};

const pairs = (polygon) => Array.from({ length: polygon.length / 2 }, (_one, at) => [polygon[2 * at], polygon[2 * at + 1]]);
const distance = ([ax, ay], [bx, by]) => Math.hypot(ax - bx, ay - by);
const toSegment = (point, [ax, ay], [bx, by]) => {
  const dx = bx - ax, dy = by - ay, length = dx * dx + dy * dy, along = length ? clamp(((point[0] - ax) * dx + (point[1] - ay) * dy) / length, 0, 1) : 0;
  return { far: distance(point, [ax + along * dx, ay + along * dy]), at: [ax + along * dx, ay + along * dy] };
};

/** One thing: {polygons, tool} or {raster, tool}; `revision` grows with every change of its raster. */
const thingOf = (shape) => (shape.polygons ? { polygons: shape.polygons.map((one) => [...one]), tool: shape.tool ?? "polygon" } : { raster: decode(shape), revision: 0, tool: shape.tool ?? "brush" });

class Masks extends Bench {
  begin(_item, given) {
    return { things: (given?.data?.shapes ?? []).map(thingOf), isNone: given?.answer === "none" };
  }
  fromDraft(_item, kept) { return { things: kept.shapes.map(thingOf), isNone: kept.isNone, isDraft: true }; }
  toDraft(state, item) { return { shapes: state.things.map((one) => this.shapeOf(one, item)).filter(Boolean), isNone: state.isNone }; }
  shapeOf({ polygons, raster, tool }, { width, height }) {
    if (polygons) return polygons.length ? { polygons, tool } : null;
    return raster.area() ? { ...encode(raster, width, height), tool } : null;
  }

  get chosen() { return this.state.things[this.chosenIndex] ?? null; }
  get offered() { return this.proposed((shape) => shape.counts || shape.polygons); }

  opened() {
    this.tool ??= "polygon";
    this.size ??= 24;
    this.opacity ??= 0.45;
    this.chosenIndex = this.state.things.length - 1;
    this.corners = [];          // of a polygon that is being drawn
    this.corner = null;         // {polygon, at} of the chosen thing
    this.grabbed = null;
    this.brushing = null;
    this.found = { clicks: [], box: null, number: 0 };
    this.paint = new Paint(this.sheet);
    // what can be found out before the first click is found out now, for this picture and the next; a click that fails says why
    const prepare = (item) => item && call(`/desk/pages/${this.page.page_id}/segment`, { position: item.position, clicks: [] });
    prepare(this.item).then(() => prepare(this.desks[this.index + 1]?.item)).catch(() => {});
  }
  closed() { this.found.asked?.abort(); clearTimeout(this.patience); }

  hint() {
    if (this.offered) return ["A mask is proposed: ", el("kbd", {}, "Enter"), " takes it."];
    return [this.frames.length ? "The one in the dotted box. " : "", this.noFinder && this.tool === "clicks" ? this.noFinder : HINTS[this.tool]];
  }

  tools() {
    const tool = ([name, word, key]) => ({ word, key, icon: name, isOn: this.tool === name, run: () => this.use(name) });
    const range = (word, low, high, value, set, isOff = false) => el("label", { class: "range" }, word, el("input", { type: "range", disabled: isOff, min: low, max: high, step: "any", value, oninput: (event) => set(Number(event.target.value)), onchange: () => { this.changed(); this.sheet.root.focus({ preventScroll: true }); } }));
    const groups = [TOOLS.map(tool)], isBrush = this.tool === "brush" || this.tool === "eraser";
    groups.push([range("Size", 0, 1, Math.log(this.size / LEAST_BRUSH) / Math.log(MOST_BRUSH / LEAST_BRUSH), (value) => this.resize(LEAST_BRUSH * (MOST_BRUSH / LEAST_BRUSH) ** value), !isBrush), range("Opacity", 0.05, 0.9, this.opacity, (value) => { this.opacity = value; this.sheet.redraw(); }),
      { word: "Outlines only", key: "o", isOn: Boolean(this.isBare), isWide: true, run: () => this.bare() }]);
    if (this.tool === "clicks") groups.push([{ word: this.isMinus ? "− not it" : "+ it", key: "x", isOn: this.isMinus, title: "Clicks say what is not it", run: () => this.turnSign() }]);
    return [...groups, [{ word: "Remove", key: "Del", icon: "trash", isIcon: true, isOff: !this.chosen, run: () => this.remove() }]];
  }
  answers() { return [{ word: "None here", key: "n", isOn: this.state.isNone, isOff: this.state.things.length > 0, run: () => this.sayNone() }]; }
  others() { return this.several(this.state.things.length, this.chosenIndex); }

  answer(state, item) {
    const shapes = state.things.map((one) => this.shapeOf(one, item)).filter(Boolean);
    if (shapes.length) return { answer: "mask", data: { shapes } };
    return state.isNone ? { answer: "none", data: {} } : null;
  }
  said(state) { return state.things.length ? "mask" : state.isNone ? "none" : ""; }
  get takesRight() { return true; }
  missing() { return this.corners.length ? "The outline is not closed yet: Enter closes it." : `Draw a mask first, or press n where there is no ${this.name}.`; }

  // --- acts ---

  /** Replace the list of things; those not touched stay the same objects, so this holds no pictures twice. */
  put(name, things, chosen = this.chosenIndex, isNone = false) {
    const { state, desk } = this, before = { things: state.things, chosen: this.chosenIndex, isNone: state.isNone };
    const set = (next) => {
      state.things = next.things;
      state.isNone = next.isNone;
      if (this.desk !== desk) return;
      this.chosenIndex = clamp(next.chosen, -1, next.things.length - 1);
      this.corner = null;
    };
    desk.history.act(name, () => set({ things, chosen, isNone }), () => set(before));
  }
  replaced(thing) { return this.chosen ? this.state.things.map((one, index) => (index === this.chosenIndex ? thing : one)) : [...this.state.things, thing]; }
  places() { return this.chosen ? this.chosenIndex : this.state.things.length; }

  choose(index) { this.stopBegun(); this.chosenIndex = index; this.forget(); this.changed(); this.say(`Thing ${index + 1} is chosen.`); }
  another() { this.stopBegun(); this.chosenIndex = -1; this.forget(); this.changed(); this.say(`What is drawn now is another ${this.name}.`); }
  remove() {
    if (this.corner) { this.removeCorner(); return; }
    if (!this.chosen) return;
    const index = this.chosenIndex;
    this.forget();
    this.put("that it was removed", this.state.things.filter((_one, place) => place !== index), Math.max(index - 1, this.state.things.length > 1 ? 0 : -1));
    this.say("Removed.");
  }
  sayNone() {
    this.stopBegun();
    if (this.state.things.length) { this.say("Something is drawn: remove it first."); return; }
    this.put("the answer", [], -1, !this.state.isNone);
    this.saidNone(`no ${this.name}`);
  }

  accept() {
    if (this.corners.length > 2) { this.close(); return true; }
    const { offered } = this;
    if (!offered) return false;
    this.put("the proposal", [{ ...thingOf(offered.shape), tool: "proposal" }], 0);
    this.say("Taken as it is. Enter goes on.");
    return true;
  }

  bare() { this.isBare = !this.isBare; this.changed(); this.say(this.isBare ? "Outlines only." : "Outlines and what is inside."); }
  use(tool) { this.stopBegun(); this.tool = tool; this.corner = null; this.sheet.hideLoupe(); this.changed(); this.say(`${TOOLS.find(([name]) => name === tool)[1]}.`); }
  resize(size) { this.size = clamp(size, LEAST_BRUSH, MOST_BRUSH); this.sheet.redraw(); }
  stopBegun() { this.corners = []; this.grabbed = null; this.cancelStroke(); }
  forget() { this.found.asked?.abort(); this.found = { clicks: [], box: null, number: this.found.number + 1 }; }
  isMidway() { return this.corners.length > 0; }
  stepBack() {
    if (this.corners.length) { this.corners.pop(); this.say(`${counted(this.corners.length, "point")}.`); return true; }
    return false;
  }

  // --- polygons ---

  /** The nearest corner or edge of the chosen thing: {polygon, at} or {polygon, after, point}. */
  near(point, isTouch) {
    if (!this.chosen?.polygons || !point) return null;
    const reach = (isTouch ? TOUCH_REACH_PX : REACH_PX) / this.sheet.k;
    let best = null, far = reach;
    for (const [polygon, flat] of this.chosen.polygons.entries()) for (const [at, corner] of pairs(flat).entries()) if (distance(point, corner) < far) { far = distance(point, corner); best = { polygon, at }; }
    if (best) return best;
    far = reach * 0.7;
    for (const [polygon, flat] of this.chosen.polygons.entries()) {
      const corners = pairs(flat);
      for (const [after, corner] of corners.entries()) {
        const edge = toSegment(point, corner, corners[(after + 1) % corners.length]);
        if (edge.far < far) { far = edge.far; best = { polygon, after, point: edge.at }; }
      }
    }
    return best;
  }

  close() {
    const { corners } = this;
    this.corners = [];
    const polygon = corners.flat().map(round);
    const { width, height } = this.item, filled = filledAll([polygon], width, height);
    this.forget();
    if (filled.area() < 4) { this.say("This outline holds nothing: draw it again."); this.changed(); return; }
    if (this.chosen?.raster) {
      const before = this.chosen, raster = before.raster.copy();
      raster.add(filled, width, height);
      this.put("the outline", this.replaced({ raster, revision: 0, tool: "polygon" }), this.chosenIndex);
    } else this.put("the outline", this.replaced({ polygons: [...(this.chosen?.polygons ?? []), polygon], tool: "polygon" }), this.places());
    this.say(`Closed: ${counted(corners.length, "point")}.`);
  }

  /** The chosen thing with one of its polygons changed. */
  withPolygon(polygon, corners) {
    const flat = corners.flat().map(round), polygons = this.chosen.polygons.map((one, place) => (place === polygon ? flat : one)).filter((one) => one.length >= 6);
    return { polygons, tool: "polygon" };
  }

  removeCorner() {
    const { polygon, at } = this.corner, corners = pairs(this.chosen.polygons[polygon]).filter((_one, place) => place !== at);
    const thing = this.withPolygon(polygon, corners);
    if (thing.polygons.length) this.put("the point", this.replaced(thing));
    else this.put("that it was removed", this.state.things.filter((one) => one !== this.chosen), this.state.things.length - 2);
    this.say("Point removed.");
  }

  moveCorner(dx, dy) {
    const { polygon, at } = this.corner, corners = pairs(this.chosen.polygons[polygon]), corner = this.corner;
    corners[at] = this.sheet.within([corners[at][0] + dx, corners[at][1] + dy]);
    this.put("the move", this.replaced(this.withPolygon(polygon, corners)));
    this.corner = corner;
    this.say(`Point ${at + 1} at ${corners[at].map(Math.round).join(", ")}.`);
  }

  setPoint(point) {
    const place = this.sheet.within(point);
    if (this.tool === "polygon") {
      if (this.corners.length > 2 && distance(place, this.corners[0]) * this.sheet.k < REACH_PX) { this.close(); return; }
      this.corners.push(place.map(round));
      this.say(`${counted(this.corners.length, "point")}.`);
      this.changed();
    } else if (this.tool === "brush" || this.tool === "eraser") { this.beginStroke(place, this.tool === "brush" ? 1 : 0); this.endStroke(); }
    else if (this.tool === "fill") this.fill(place);
    else this.ask([...place.map(round), this.isMinus ? 0 : 1], null);
  }

  // --- brush ---

  beginStroke(point, value) {
    const { width, height } = this.item, old = this.chosen;
    if (!value && !old) { this.say("There is nothing to rub out."); return false; }
    const thing = old?.raster ? old : { raster: old ? filledAll(old.polygons, width, height) : new Raster(), revision: 0, tool: "brush" };
    this.brushing = { old, thing, before: old?.raster ? old.raster.copy() : null, tool: old?.tool, last: point, value, radius: Math.max(this.size / this.sheet.k / 2, 0.5) };
    if (thing !== old) { this.brushing.list = [this.state.things, this.chosenIndex]; const at = this.places(); this.state.things = this.replaced(thing); this.chosenIndex = at; }
    this.stroke(point);
    return true;
  }
  stroke(point) {
    const { thing, last, radius, value } = this.brushing;
    thing.raster.stroke(last, point, radius, value, this.item.width, this.item.height);
    thing.revision += 1;
    this.brushing.last = point;
    this.sheet.redraw();
  }

  endStroke() {
    const { brushing, state, desk, item } = this;
    this.brushing = null;
    if (!brushing) return;
    this.forget();
    const { thing, before, old, list } = brushing, name = brushing.value ? "the stroke" : "the rubbing out", wasNone = state.isNone;
    thing.tool = "brush";
    state.isNone = false;
    if (list) {  // the thing is new, or was made of polygons: both lists are kept, the raster is only in one
      const after = [state.things, this.chosenIndex], set = ([things, chosen], isNone) => { state.things = things; state.isNone = isNone; if (this.desk === desk) { this.chosenIndex = chosen; this.corner = null; } };
      desk.history.did(name, () => set(after, false), () => set(list, wasNone));
    } else {
      const patch = difference(before, thing.raster), turn = () => { flip(thing.raster, patch, item.width, item.height); thing.revision += 1; };
      desk.history.did(name, () => { turn(); thing.tool = "brush"; }, () => { turn(); thing.tool = old === thing ? brushing.tool : thing.tool; });
    }
    this.say(`Mask ${this.chosenIndex + 1}: ${counted(thing.raster.area(), "px", "px")}.`);
  }
  cancelStroke() {
    const { brushing } = this;
    if (!brushing) return;
    this.brushing = null;
    if (brushing.list) [this.state.things, this.chosenIndex] = brushing.list;
    else { brushing.thing.raster = brushing.before; brushing.thing.revision += 1; }
  }

  fill(point) {
    const { width, height } = this.item, old = this.chosen;
    if (!old) { this.say("There is no mask with a hole yet."); return; }
    const raster = old.raster ? old.raster.copy() : filledAll(old.polygons, width, height), count = raster.fill(Math.floor(clamp(point[0], 0, width - 1)), Math.floor(clamp(point[1], 0, height - 1)));
    if (count <= 0) { this.say(count ? "This is no hole: the mask is open around it." : "This is part of the mask already."); return; }
    this.forget();
    this.put("the filling", this.replaced({ raster, revision: 0, tool: "brush" }));
    this.say(`Filled: ${counted(count, "px", "px")}.`);
  }

  // --- regions that the server finds ---

  turnSign() { this.isMinus = !this.isMinus; this.changed(); this.say(this.isMinus ? "Clicks say what is not it." : "Clicks say what is it."); }

  /** Show the click at once, ask, and take only the answer to the latest question. */
  async ask(click, box) {
    const { found, desk, page, item } = this, before = this.chosen, kept = { clicks: found.clicks, box: found.box };
    if (!found.clicks.length && !found.box) found.base = before && (before.raster?.copy() ?? filledAll(before.polygons, item.width, item.height));  // is added to
    found.clicks = click ? [...found.clicks, click] : [];
    found.box = box ?? found.box;
    found.asked?.abort();
    const asked = found.asked = new AbortController(), number = found.number += 1;
    this.patience = setTimeout(() => { if (found.asked === asked) this.say("Looking…"); }, 400);
    this.sheet.redraw();
    const isStale = () => asked.signal.aborted || found.number !== number || this.found !== found || this.desk !== desk;
    try {
      const answer = await call(`/desk/pages/${page.page_id}/segment`, { position: item.position, clicks: found.clicks, ...(found.box ? { box: found.box } : {}) });
      if (isStale()) return;
      const raster = decode(answer);
      if (!raster.width) { this.say("Nothing was found there: click elsewhere, or drag a box around it."); Object.assign(found, kept); this.sheet.redraw(); return; }
      if (found.base) raster.add(found.base, item.width, item.height);
      const thing = { raster, revision: 0, tool: answer.tool ?? "grabcut" }, clicks = found.clicks, frame = found.box;
      if (before === this.chosen) this.put("the click", this.replaced(thing), this.places());
      const act = desk.history.done.at(-1), { redo, undo } = act;
      act.redo = () => { redo(); if (this.found === found) Object.assign(found, { clicks, box: frame }); };
      act.undo = () => { undo(); if (this.found === found) Object.assign(found, kept); };
      this.say(`Found: ${counted(raster.area(), "px", "px")}. Further clicks correct it.`);
    } catch (error) {
      if (isStale()) return;
      if (!(error instanceof Refused)) throw error;
      Object.assign(found, kept);
      if (!error.isPassing) this.noFinder = worded(error);
      this.say(error.status === 0 ? "No connection just now: the other tools work without one." : error.what);
      this.changed();
    } finally { clearTimeout(this.patience); }
  }

  // --- pointer ---

  cursor(at) {
    if (this.grabbed) return "grabbing";
    if (this.tool === "brush" || this.tool === "eraser") return "none";
    return this.tool === "polygon" && !this.corners.length && this.near(at, false) ? "move" : "crosshair";
  }

  down(point, event) {
    const place = this.sheet.within(point), isTouch = event.pointerType !== "mouse";
    if (this.tool === "brush" || this.tool === "eraser") {
      const isRubbing = this.tool === "eraser" || event.button === 2 || event.altKey || event.buttons === 32;  // 32: the back end of a pen
      return this.beginStroke(place, isRubbing ? 0 : 1);
    }
    if (this.tool === "polygon") {
      const near = this.corners.length ? null : this.near(point, isTouch);
      if (near) this.grab(near);
      else if (this.corners.length > 2 && distance(point, this.corners[0]) * this.sheet.k < (isTouch ? TOUCH_REACH_PX : REACH_PX)) this.closing = true;
      else this.corners.push(place.map(round));
      return true;
    }
    this.pressed = { from: place, to: place, isMinus: event.button === 2 || event.altKey || this.isMinus };
    return true;
  }

  /** Take hold of a corner, or make one where an edge was grabbed. */
  grab(near) {
    const corners = pairs(this.chosen.polygons[near.polygon]);
    if (near.at === undefined) corners.splice(near.after + 1, 0, near.point);
    const at = near.at ?? near.after + 1;
    this.grabbed = { polygon: near.polygon, at, corners, isNew: near.at === undefined };
  }

  move(point, event) {
    const place = this.sheet.within(point);
    if (this.brushing) { for (const one of event?.getCoalescedEvents?.() ?? []) this.stroke(this.sheet.within(this.sheet.toPicture(one.clientX, one.clientY))); this.stroke(place); return; }
    if (this.grabbed) { this.grabbed.corners[this.grabbed.at] = place; this.grabbed.isMoved = true; this.look(place); return; }
    if (this.pressed) { this.pressed.to = place; return; }
    if (this.tool === "polygon" && this.corners.length && !this.closing) { this.corners[this.corners.length - 1] = place.map(round); this.look(place); }
  }

  up(point) {
    if (this.brushing) { this.endStroke(); return; }
    if (this.grabbed) {
      const { polygon, at, corners, isMoved, isNew } = this.grabbed;
      this.grabbed = null;
      if (isMoved || isNew) this.put(isNew ? "the point" : "the move", this.replaced(this.withPolygon(polygon, corners)));
      this.corner = { polygon, at };
      this.say(`Point ${at + 1} of ${corners.length}: arrows move it, Del removes it.`);
      this.sheet.hideLoupe();
      return;
    }
    if (this.closing) { this.closing = false; this.close(); return; }
    if (this.pressed) {
      const { from, to, isMinus } = this.pressed;
      this.pressed = null;
      if (this.tool === "fill") this.fill(from);
      else if (Math.abs(to[0] - from[0]) * this.sheet.k > DRAG_PX && Math.abs(to[1] - from[1]) * this.sheet.k > DRAG_PX) this.ask(null, extent([from, to]).map(round));
      else this.ask([...from.map(round), isMinus ? 0 : 1], null);
      return;
    }
    this.sheet.hideLoupe();
    this.corner = null;
    this.say(`${counted(this.corners.length, "point")}.`);
    this.changed();
  }
  cancel() { this.cancelStroke(); if (this.tool === "polygon" && this.corners.length && !this.closing) this.corners.pop(); this.closing = false; this.grabbed = null; this.pressed = null; }
  hover(point) { if (this.tool === "polygon" && this.corners.length) this.look(this.sheet.within(point)); else this.sheet.hideLoupe(); }
  look(point) { if (this.isLoupe) this.sheet.showLoupe(point, this.grabbed ? [[...this.grabbed.corners, this.grabbed.corners[0]]] : [[...this.corners, point]]); }

  // --- keys ---

  take(event) {
    const { key } = event, [dx, dy] = arrow(key);
    if ((dx || dy) && this.corner && this.chosen?.polygons && !this.sheet.cursor) { const step = event.shiftKey ? 10 : 1; this.moveCorner(dx * step, dy * step); return true; }
    if (event.altKey) return false;
    const tool = TOOLS.find(([, , letter]) => letter === key);
    if (tool) this.use(tool[0]);
    else if (key === "[" || key === "]") { this.resize(this.size * (key === "[" ? 0.8 : 1.25)); this.changed(); this.say(`Brush: ${Math.round(this.size / this.sheet.k)} px across.`); }
    else if (key === "x" && this.tool === "clicks") this.turnSign();
    else if (key === "o") this.bare();
    else if (key === "m" && this.chosen) this.another();
    else if (key === "n") this.sayNone();
    else if (/^[1-9]$/.test(key) && this.state.things[Number(key) - 1]) this.choose(Number(key) - 1);
    else if (key === "Backspace" && this.corners.length) { this.stepBack(); this.changed(); }
    else if (key === "Delete" || key === "Backspace") this.remove();
    else if (key === "Escape" && (this.corners.length || this.sheet.cursor || this.corner || this.brushing)) this.escape();
    else if (key === "Tab" && this.chosen?.polygons?.length && this.tool === "polygon" && !this.corners.length && document.activeElement === this.sheet.root) return this.nextCorner(event.shiftKey);
    else return false;
    return true;
  }
  escape() {
    if (this.corners.length || this.brushing) { this.stopBegun(); this.say("Stopped."); } else if (this.sheet.cursor) this.sheet.cursor = null;
    else this.corner = null;
    this.changed();
  }
  /** Tab goes over the points once and then on to the buttons. */
  nextCorner(isBack) {
    const all = this.chosen.polygons.flatMap((flat, polygon) => pairs(flat).map((_one, at) => ({ polygon, at })));
    const now = this.corner ? all.findIndex((one) => one.polygon === this.corner.polygon && one.at === this.corner.at) : isBack ? all.length : -1;
    this.corner = all[now + (isBack ? -1 : 1)] ?? null;
    if (this.corner) this.say(`Point ${this.corner.at + 1}: arrows move it, Del removes it.`);
    this.sheet.redraw();
    return Boolean(this.corner);
  }

  // --- what is seen ---

  draw(layer) {
    const { sheet, state } = this, { offered } = this;
    const things = offered ? [...state.things, this.proposal(offered)] : state.things;
    this.framed(layer);
    this.paint.show(things, this.chosenIndex, this.isBare ? 0 : this.opacity);
    things.forEach((thing, index) => { if (thing.polygons) layer.append(this.outline(thing, index)); });
    if (this.corners.length) {
      const ends = [...this.corners, ...(sheet.at && !this.closing ? [sheet.within(sheet.at)] : sheet.cursor ? [sheet.cursor] : [])].map((one) => sheet.toScreen(one));
      const path = (name) => svg("polyline", { class: name, points: ends.map((one) => one.map(round).join(",")).join(" ") });
      layer.append(svg("g", { class: "polygon begun" }, path("halo"), path("line")));
      for (const [index, one] of this.corners.entries()) layer.append(this.dot(one, index ? "corner" : "corner first", index ? 4 : 6));
    }
    for (const [x, y, sign] of this.found.clicks) layer.append(this.sign([x, y], sign));
    const frame = this.tool !== "clicks" ? null : this.pressed ? extent([this.pressed.from, this.pressed.to]) : this.found.box;
    if (frame) layer.append(boxLines(sheet, frame, "offered"));
    if ((this.tool === "brush" || this.tool === "eraser") && (sheet.at || sheet.cursor)) {
      const [cx, cy] = sheet.toScreen(sheet.within(sheet.at ?? sheet.cursor));
      layer.append(svg("g", { class: "brush-ring" }, ...["halo", "line"].map((name) => svg("circle", { class: name, cx, cy, r: Math.max(this.size / 2, 1.5) }))));
    }
  }
  proposal(mark) { if (this.proposalOf?.mark !== mark) this.proposalOf = { mark, thing: thingOf(mark.shape) }; return this.proposalOf.thing; }

  outline(thing, index) {
    const isChosen = index === this.chosenIndex, group = svg("g", { class: `polygon thing-${index % 7}${isChosen ? " chosen" : ""}` });
    for (const [polygon, flat] of thing.polygons.entries()) {
      const corners = this.grabbed && isChosen && this.grabbed.polygon === polygon ? this.grabbed.corners : pairs(flat);
      const points = corners.map((one) => this.sheet.toScreen(one).map(round).join(",")).join(" ");
      if (!this.isBare) group.append(svg("polygon", { class: "area", points, "fill-opacity": this.opacity }));
      group.append(svg("polygon", { class: "halo", points }), svg("polygon", { class: "line", points }));
      if (isChosen && this.tool === "polygon" && !this.corners.length) for (const [at, one] of corners.entries()) group.append(this.dot(one, this.corner?.polygon === polygon && this.corner.at === at ? "corner at" : "corner", 4));
    }
    return group;
  }
  sign(point, isPlus) { const [x, y] = this.sheet.toScreen(point); return svg("g", { class: isPlus ? "sign plus" : "sign minus" }, svg("circle", { cx: x, cy: y, r: 8 }), svg("path", { d: `M${x - 4} ${y}h8${isPlus ? `M${x} ${y - 4}v8` : ""}` })); }
}

registerKind("mask", {
  question: (page) => page.items.some((item) => item.marks.some((one) => one.shape?.box)) ? `Outline the ${page.concept.name} in the dotted box: this one alone` : `Outline every ${page.concept.name}, each on its own`,
  keys: [
    ["p b e f c", "outline, brush, eraser, fill, find; only what can be seen, no shadow, nothing that stands before it"], ["Enter", "closes the outline; then the next picture, or hand in"],
    ["Backspace", "the last point of an outline goes"], ["Tab", "choose a point of the outline; arrows move it, Del removes it"], ["[ ]", "a smaller, a larger brush"],
    ["x", "clicks say what is not it (also Alt or the right button)"], ["m", "another one: what is drawn next is on its own"], ["1 2 3", "choose one of several"],
    ["o", "outlines only, and back"], ["n", "none here, and on to the next picture"], ...DRAWING_KEYS,
  ],
  show: (page, root, hands) => new Masks(page, root, hands),
});
