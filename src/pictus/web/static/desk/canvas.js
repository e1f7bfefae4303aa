// A picture to draw on: zoom, pan, coordinates, loupe, keyboard cursor; and what can be undone.
// Every coordinate that leaves this file is in px of the upright picture, whatever the zoom, the screen or the page.

import { el } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const EDGE = 16;          // px left free around a picture that is shown whole: room to begin outside it
const MOST_ZOOM = 48;     // screen px for one px of the picture
const LOUPE_PX = 132, SMALL_LOUPE_PX = 104;  // across, on a wide and on a narrow screen

/** An SVG element with attributes (a number is written with 2 decimals). */
export const svg = (name, attributes = {}, ...children) => {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, typeof value === "number" ? String(Math.round(value * 100) / 100) : value);
  made.append(...children);
  return made;
};

/** As precise as a screen at the deepest zoom, and short in JSON. */
export const round = (value) => Math.round(value * 100) / 100;
export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
/** The box [x1, y1, x2, y2] around points. */
export const extent = (points) => { const [x, y] = [0, 1].map((axis) => points.map((one) => one[axis])); return [Math.min(...x), Math.min(...y), Math.max(...x), Math.max(...y)]; };

// --- what can be undone ---------------------------------------------------------------------------------------

/** Acts with their reversal, as many as anybody makes on one picture: an act holds what changed, never the whole. */
export class History {
  constructor(changed) { this.changed = changed; this.done = []; this.undone = []; }

  /** Do it, and remember how to take it back. `name` is said when it is taken back. */
  act(name, redo, undo) {
    redo();
    this.did(name, redo, undo);
  }

  /** Remember what was done already (a stroke is drawn as it is made). */
  did(name, redo, undo) {
    this.done.push({ name, redo, undo });
    this.undone.length = 0;
    this.changed();
  }

  undo() {
    const act = this.done.pop();
    if (!act) return "";
    act.undo();
    this.undone.push(act);
    this.changed();
    return act.name;
  }

  redo() {
    const act = this.undone.pop();
    if (!act) return "";
    act.redo();
    this.done.push(act);
    this.changed();
    return act.name;
  }
}

// --- the sheet ------------------------------------------------------------------------------------------------

/**
 * One picture in a frame that is zoomed and panned, with an SVG in screen px over it.
 * `hand` gets what the pointer does: down(point, event) -> false to let it go, move, up, hover, cancel, place(point) for
 * the keyboard's cursor, draw(svg) whenever something moved; points are [x, y] in px of the picture, not clipped.
 */
export class Sheet {
  constructor({ width, height, address, thumbnail, label, hand }) {
    Object.assign(this, { width, height, hand, k: 1, x: 0, y: 0, isFitted: true, cursor: null, isSpace: false });
    this.pointers = new Map();
    this.picture = el("img", { class: "sheet-picture", alt: "", draggable: "false", decoding: "async" });
    this.paint = el("canvas", { class: "sheet-paint", "aria-hidden": "true" });
    this.drawing = svg("svg", { class: "sheet-drawing", "aria-hidden": "true" });
    this.loupe = el("canvas", { class: "sheet-loupe", "aria-hidden": "true", hidden: true });
    this.root = el("div", { class: "sheet", tabindex: "0", role: "application", "aria-label": label, "aria-roledescription": "drawing" },
      this.picture, this.paint, this.drawing, this.loupe);
    this.picture.style.width = `${width}px`;
    this.picture.style.height = `${height}px`;
    this.load(address, thumbnail);
    this.watch = new ResizeObserver(() => this.resized());
    this.watch.observe(this.root);
    const on = (name, what, options) => this.root.addEventListener(name, what, options);
    on("pointerdown", (event) => this.down(event));
    on("pointermove", (event) => this.moved(event));
    on("pointerup", (event) => this.up(event));
    on("pointercancel", (event) => this.lost(event));
    on("pointerleave", () => { if (!this.pointers.size) { this.at = null; this.hideLoupe(); this.redraw(); } });
    on("wheel", (event) => this.wheeled(event), { passive: false });
    on("contextmenu", (event) => { if (this.hand.takesRight) event.preventDefault(); });
  }

  /** A thumbnail at once, then the picture's own pixels; only the thumbnail where the browser cannot read them. */
  load(address, thumbnail) {
    const whole = new Image();
    this.picture.addEventListener("load", () => { this.root.classList.add("loaded"); this.redraw(); });
    this.picture.src = address(Math.max(this.width, this.height) > 640 ? 640 : thumbnail);
    whole.src = address(0);
    whole.decode().then(() => {
      this.picture.src = whole.src;
      const { naturalWidth, naturalHeight } = whole;  // upright; smaller than the file where a copy is shown
      if (Math.abs(naturalWidth * this.height - naturalHeight * this.width) > 0.02 * naturalHeight * this.width && !this.isGone) this.hand.misfit?.(naturalWidth, naturalHeight);
    }, () => this.root.classList.add("thumbnail-only"));
  }

  leave() { this.isGone = true; this.watch.disconnect(); cancelAnimationFrame(this.waiting); }

  // --- coordinates ---

  frame() { return this.root.getBoundingClientRect(); }
  toPicture(clientX, clientY) {
    const frame = this.frame();
    return [(clientX - frame.left - this.root.clientLeft - this.x) / this.k, (clientY - frame.top - this.root.clientTop - this.y) / this.k];
  }
  toScreen([x, y]) { return [x * this.k + this.x, y * this.k + this.y]; }
  within([x, y]) { return [clamp(x, 0, this.width), clamp(y, 0, this.height)]; }

  // --- zoom and pan ---

  fitZoom() {
    const { clientWidth, clientHeight } = this.root;
    return clamp(Math.min((clientWidth - 2 * EDGE) / this.width, (clientHeight - 2 * EDGE) / this.height), 0.005, 16);
  }

  fit() {
    this.k = this.fitZoom();
    this.x = (this.root.clientWidth - this.width * this.k) / 2;
    this.y = (this.root.clientHeight - this.height * this.k) / 2;
    this.isFitted = true;
    this.redraw();
  }

  /** `k` screen px for one px of the picture; what lies at `at` (client px, else the middle) stays there. */
  zoomTo(k, at = null) {
    const frame = this.frame();
    const [x, y] = at ? [at[0] - frame.left - this.root.clientLeft, at[1] - frame.top - this.root.clientTop] : [this.root.clientWidth / 2, this.root.clientHeight / 2];
    const next = clamp(k, this.fitZoom() / 2, Math.max(MOST_ZOOM, this.fitZoom()));
    this.x = x - (x - this.x) * next / this.k;
    this.y = y - (y - this.y) * next / this.k;
    this.k = next;
    this.isFitted = false;
    this.hold();
  }
  zoomBy(factor, at = null) { this.zoomTo(this.k * factor, at); }
  panBy(dx, dy) { this.x += dx; this.y += dy; this.isFitted = false; this.hold(); }

  /** Show this part (px of the picture) with room around it. */
  show([x1, y1, x2, y2], room = 0.25) {
    const { clientWidth, clientHeight } = this.root, across = Math.max(x2 - x1, 4), along = Math.max(y2 - y1, 4);
    this.k = clamp(Math.min(clientWidth / (across * (1 + 2 * room)), clientHeight / (along * (1 + 2 * room))), this.fitZoom(), MOST_ZOOM);
    this.x = clientWidth / 2 - (x1 + x2) / 2 * this.k;
    this.y = clientHeight / 2 - (y1 + y2) / 2 * this.k;
    this.isFitted = false;
    this.hold();
  }

  /** Never so far that the picture is out of sight. */
  hold() {
    const { clientWidth, clientHeight } = this.root, keep = 48;
    this.x = clamp(this.x, keep - this.width * this.k, clientWidth - keep);
    this.y = clamp(this.y, keep - this.height * this.k, clientHeight - keep);
    this.redraw();
  }

  resized() {
    const { clientWidth, clientHeight } = this.root;
    if (!clientWidth || !clientHeight) return;
    if (this.isFitted || !this.size) this.fit();
    else { this.x += (clientWidth - this.size[0]) / 2; this.y += (clientHeight - this.size[1]) / 2; this.hold(); }
    this.size = [clientWidth, clientHeight];
  }

  // --- drawing ---

  /** Once per frame, however often it is asked for. */
  redraw() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.draw(); });
  }

  draw() {
    this.picture.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.k})`;
    this.picture.style.imageRendering = this.k >= 4 ? "pixelated" : "auto";
    this.root.style.cursor = this.isSpace || this.panning ? "grab" : this.hand.cursor?.(this.at) ?? "crosshair";
    this.drawing.replaceChildren();
    this.hand.draw(this.drawing);
    if (this.cursor) this.drawing.append(this.cross(this.toScreen(this.cursor)));
  }

  cross([x, y]) {
    const lines = (name) => svg("path", { class: name, d: `M${x - 16} ${y}H${x - 4}M${x + 4} ${y}H${x + 16}M${x} ${y - 16}V${y - 4}M${x} ${y + 4}V${y + 16}` });
    return svg("g", { class: "cursor" }, lines("halo"), lines("line"));
  }

  /** A part of the picture enlarged beside the pointer, with `lines` (polylines in px of the picture) on it. */
  showLoupe(point, lines = []) {
    const wide = this.root.clientWidth < 480 ? SMALL_LOUPE_PX : LOUPE_PX, ratio = window.devicePixelRatio || 1, side = Math.round(wide * ratio), zoom = Math.max(4, this.k * 2.5) * ratio;
    if (!this.picture.naturalWidth || this.k >= 12) { this.hideLoupe(); return; }  // large enough as it is
    const pen = this.loupe.getContext("2d"), scale = this.picture.naturalWidth / this.width, part = side / zoom;
    this.loupe.width = side;
    this.loupe.height = side;
    pen.imageSmoothingEnabled = false;
    pen.drawImage(this.picture, (point[0] - part / 2) * scale, (point[1] - part / 2) * scale, part * scale, part * scale, 0, 0, side, side);
    const style = getComputedStyle(this.root);
    const trace = (colour, thick) => {
      pen.strokeStyle = colour;
      pen.lineWidth = thick * ratio;
      for (const line of lines) {
        pen.beginPath();
        line.forEach(([x, y], index) => pen[index ? "lineTo" : "moveTo"]((x - point[0]) * zoom + side / 2, (y - point[1]) * zoom + side / 2));
        pen.stroke();
      }
    };
    trace("rgb(0 0 0 / .6)", 3);
    trace(style.getPropertyValue("--mark") || "#fff", 1.5);
    for (const [colour, thick] of [["rgb(0 0 0 / .6)", 3], ["#fff", 1]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = thick * ratio;
      pen.beginPath();
      const middle = side / 2, gap = 5 * ratio, reach = 18 * ratio;
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) { pen.moveTo(middle + dx * gap, middle + dy * gap); pen.lineTo(middle + dx * reach, middle + dy * reach); }
      pen.stroke();
    }
    const [x, y] = this.toScreen(point), away = 28, { clientWidth, clientHeight } = this.root;
    const left = x + away + wide > clientWidth ? x - away - wide : x + away, top = y - away - wide < 0 ? y + away : y - away - wide;
    this.loupe.style.width = this.loupe.style.height = `${wide}px`;
    this.loupe.style.transform = `translate(${clamp(left, 0, clientWidth - wide)}px, ${clamp(top, 0, clientHeight - wide)}px)`;
    this.loupe.hidden = false;
  }
  hideLoupe() { this.loupe.hidden = true; }

  // --- pointers: mouse, pen and fingers; two fingers, the middle button and space move the picture ---

  down(event) {
    if (event.button > 2 || (event.button === 2 && !this.hand.takesRight)) return;
    this.root.focus({ preventScroll: true });
    if (event.isTrusted) this.root.setPointerCapture(event.pointerId);  // one that a script made cannot be captured
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
    this.cursor = null;
    event.preventDefault();
    if (this.pointers.size > 1) {
      if (this.isDrawing) { this.hand.cancel?.(); this.isDrawing = false; this.hideLoupe(); }
      this.panning = true;
      return;
    }
    if (this.isSpace || event.button === 1) {
      this.panning = this.wasPanned = true;
      this.redraw();
      return;
    }
    this.isDrawing = this.hand.down(this.toPicture(event.clientX, event.clientY), event) !== false;
    this.redraw();
  }

  moved(event) {
    const before = this.pointers.get(event.pointerId), now = [event.clientX, event.clientY];
    this.at = this.toPicture(...now);
    if (before && this.panning) {
      this.pinch(event.pointerId, before, now);
      this.pointers.set(event.pointerId, now);
      return;
    }
    if (before) this.pointers.set(event.pointerId, now);
    if (before && this.isDrawing) this.hand.move?.(this.at, event);
    else if (!before) this.hand.hover?.(this.at, event);
    this.redraw();
  }

  /** One finger of two (or a held mouse) moved: the middle of all moves, and their distance zooms. */
  pinch(id, before, now) {
    const others = [...this.pointers].filter(([other]) => other !== id).map(([, place]) => place);
    if (!others.length) { this.panBy(now[0] - before[0], now[1] - before[1]); return; }
    const [ox, oy] = others[0], far = (place) => Math.hypot(place[0] - ox, place[1] - oy);
    this.panBy((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
    if (far(before) > 8) this.zoomBy(far(now) / far(before), [(now[0] + ox) / 2, (now[1] + oy) / 2]);
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.panning) { if (!this.pointers.size) this.panning = false; this.redraw(); return; }
    if (this.isDrawing) this.hand.up?.(this.toPicture(event.clientX, event.clientY), event);
    this.isDrawing = false;
    if (event.pointerType !== "mouse") { this.at = null; this.hideLoupe(); }
    this.redraw();
  }

  lost(event) {
    this.pointers.delete(event.pointerId);
    if (this.isDrawing) this.hand.cancel?.();
    this.isDrawing = false;
    if (!this.pointers.size) this.panning = false;
    this.hideLoupe();
    this.redraw();
  }

  wheeled(event) {
    event.preventDefault();
    const pixels = event.deltaMode === 1 ? event.deltaY * 16 : event.deltaMode === 2 ? event.deltaY * 320 : event.deltaY;
    this.zoomBy(Math.exp(-clamp(pixels, -200, 200) * (event.ctrlKey ? 0.01 : 0.002)), [event.clientX, event.clientY]);
  }

  // --- the keyboard's cursor ---

  /** Arrows move a cross over the picture: 1 px (or what a screen px shows), with Shift 10. */
  moveCursor(dx, dy, isFar) {
    const step = Math.max(1, 1 / this.k) * (isFar ? 10 : 1);
    const [x, y] = this.cursor ?? [Math.round(this.width / 2), Math.round(this.height / 2)];
    this.cursor = this.within([Math.round(x + dx * step), Math.round(y + dy * step)]);
    this.seeCursor();
    this.hand.hover?.(this.cursor, null);
    this.redraw();
  }

  seeCursor() {
    const [x, y] = this.toScreen(this.cursor), { clientWidth, clientHeight } = this.root, room = 24;
    this.panIfNeeded(Math.max(room - x, 0) + Math.min(clientWidth - room - x, 0), Math.max(room - y, 0) + Math.min(clientHeight - room - y, 0));
  }
  panIfNeeded(dx, dy) { if ((dx || dy) && !this.isFitted) this.panBy(dx, dy); }

  /** Keys that every drawing has. True: it was one of them. */
  key(event) {
    if (event.key === "0") this.fit();
    else if (event.key === "+" || event.key === "=") this.zoomBy(1.25, null);
    else if (event.key === "-") this.zoomBy(0.8, null);
    else return false;
    return true;
  }
}
