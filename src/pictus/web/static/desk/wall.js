// A wall of any length: only the rows in sight are there. Pictures are selected by click, key, and a frame that is drawn.

import { call, el } from "./dom.js";

const CHUNK = 120, KEPT = 60, GAP = 4;
const MOST_PX = 15e6;  // browsers lose count of far taller boxes
const LITTLE = 76;  // px of a picture's short side under which it is not blown up to fill its cell

export class Wall {
  /** hands: selection (Map of image_id -> picture), tag(picture) -> {text, kind}, label(picture, index), changed(), carry(event, picture), failed(error). */
  constructor(root, hands) {
    const { of, concept, other, name, total } = root.dataset;
    Object.assign(this, { root, hands, asked: { of, concept, other, name }, total: Number(total), here: 0, anchor: 0, token: "", chunks: new Map(), coming: new Map(), drawn: "", wantsFocus: false });
    this.sizer = root.querySelector(".sizer");
    this.window = root.querySelector(".window");
    root.addEventListener("scroll", () => this.draw(), { passive: true });
    root.addEventListener("pointerdown", (event) => this.down(event));
    root.addEventListener("click", (event) => this.click(event));
    root.addEventListener("focusin", (event) => { const at = this.indexOf(event.target); if (at >= 0) { this.here = at; this.mark(); } });
    new ResizeObserver(() => { this.fit(); this.drawn = ""; this.draw(); }).observe(root);
    this.fit();
  }

  get rows() { return Math.ceil(this.total / this.columns); }
  at(index) { return this.chunks.get(Math.floor(index / CHUNK))?.[index % CHUNK]; }
  indexOf(target) { const tile = target?.closest?.(".mark"); return tile && this.root.contains(tile) ? Number(tile.dataset.index) : -1; }

  fit() {
    const wide = this.root.clientWidth - 4, least = wide < 520 ? 104 : 148;
    this.columns = Math.max(1, Math.floor((wide + GAP) / (least + GAP)));
    this.size = Math.floor((wide - GAP * (this.columns - 1)) / this.columns) + GAP;
    this.window.style.setProperty("--columns", this.columns);
    this.window.style.setProperty("--tall", `${this.size - GAP}px`);
    this.sizer.style.height = `${Math.min(this.rows * this.size, MOST_PX)}px`;
  }

  get(chunk) {
    if (this.chunks.has(chunk)) return null;
    if (!this.coming.has(chunk)) this.coming.set(chunk, this.fetch(chunk).finally(() => this.coming.delete(chunk)));
    return this.coming.get(chunk);
  }

  async fetch(chunk) {
    try {
      const found = await call(`/desk/review/wall?${new URLSearchParams({ ...this.asked, at: this.token, offset: chunk * CHUNK, count: CHUNK })}`);
      if (this.token && found.at !== this.token) this.chunks.clear();  // the order was made anew
      this.token = found.at;
      if (found.total !== this.total) { this.total = found.total; this.fit(); }
      this.chunks.set(chunk, found.pictures.map(([id, concept, other, note, label, status, by], place) => ({ id, concept, other, note, label, status, by, wall: this, index: chunk * CHUNK + place })));
      for (const one of this.chunks.get(chunk)) if (this.hands.selection.has(one.id)) this.hands.selection.set(one.id, one);
    } catch (error) { this.hands.failed(error); return; }  // asked again with the next scroll
    while (this.chunks.size > KEPT) this.chunks.delete(this.chunks.keys().next().value);
    this.drawn = "";
    this.draw();
  }

  draw() {
    if (!this.total) return;
    const first = Math.max(Math.floor(this.root.scrollTop / this.size) - 1, 0), rows = Math.ceil(this.root.clientHeight / this.size) + 3;
    const from = Math.min(first * this.columns, Math.max(0, (this.rows - 1) * this.columns)), to = Math.min(from + rows * this.columns, this.total);
    for (let chunk = Math.floor(from / CHUNK); chunk <= Math.floor((to - 1) / CHUNK); chunk += 1) this.get(chunk);
    const key = `${from} ${to} ${this.columns}`;
    if (key === this.drawn) return;
    this.drawn = key;
    const hadFocus = this.window.contains(document.activeElement);
    this.window.style.transform = `translateY(${Math.floor(from / this.columns) * this.size}px)`;
    this.window.replaceChildren(...Array.from({ length: to - from }, (_, place) => this.tile(from + place)));
    this.mark();
    if (hadFocus || (this.wantsFocus && document.activeElement === document.body)) this.focus();
  }

  /** Onto the picture one is at; where it is not there yet, as soon as it is. */
  focus() {
    const tile = this.window.querySelector(`[data-index="${this.here}"]`);
    this.wantsFocus = !tile;
    tile?.focus({ preventScroll: true });
  }

  tile(index) {
    const one = this.at(index);
    if (!one) return el("span", { class: "mark blank" });
    const image = el("img", { src: `/desk/review/pictures/${one.id}/${this.size * Math.min(devicePixelRatio, 2) > 120 ? 320 : 160}`, alt: "", draggable: "false", decoding: "async" });
    image.addEventListener("load", () => image.classList.toggle("little", Math.min(image.naturalWidth, image.naturalHeight) < LITTLE));
    return el("button", { type: "button", class: "mark", role: "checkbox", "data-index": index, "data-image": one.id, tabindex: -1 }, image, el("span", { class: "tag" }), el("span", { class: "badge", "aria-hidden": "true" }));
  }

  /** What is selected, where one is, what was ruled: on the tiles that are there. */
  mark() {
    this.here = Math.min(this.here, Math.max(this.total - 1, 0));
    let hasHere = false;
    for (const tile of this.window.children) {
      const index = Number(tile.dataset.index), one = this.at(index);
      if (!one || tile.dataset.image !== one.id) continue;
      const { text, kind } = this.hands.tag(one);
      tile.setAttribute("aria-checked", String(this.hands.selection.has(one.id)));
      tile.setAttribute("aria-label", this.hands.label(one, index));
      tile.title = one.note;
      tile.classList.toggle("done", Boolean(one.by || one.refused));
      const tag = tile.querySelector(".tag");
      tag.textContent = text;
      tag.dataset.kind = kind;
      tag.hidden = !text;
      tile.tabIndex = index === this.here ? 0 : -1;
      hasHere ||= index === this.here;
    }
    if (!hasHere) { const first = this.window.querySelector("button.mark"); if (first) first.tabIndex = 0; }
  }

  /** Go to a picture; with `range` all between the anchor and it are selected. */
  async go(index, range = false) {
    if (!this.total) return;
    this.here = Math.min(Math.max(index, 0), this.total - 1);
    const top = Math.floor(this.here / this.columns) * this.size;
    if (top < this.root.scrollTop) this.root.scrollTop = top;
    else if (top + this.size > this.root.scrollTop + this.root.clientHeight) this.root.scrollTop = top + this.size - this.root.clientHeight;
    this.draw();
    await this.get(Math.floor(this.here / CHUNK));
    if (range) this.range(this.here);
    this.mark();
    this.focus();
  }

  range(index) {
    for (let at = Math.min(this.anchor, index); at <= Math.max(this.anchor, index); at += 1) this.put(this.at(at), true);
    this.hands.changed();
  }

  put(one, isOn) {
    if (one) this.hands.selection[isOn ? "set" : "delete"](one.id, one);
  }

  toggle(index) {
    const one = this.at(index);
    if (!one) return;
    this.put(one, !this.hands.selection.has(one.id));
    this.anchor = index;
    this.hands.changed();
  }

  async all(most) {
    for (let chunk = 0; chunk * CHUNK < Math.min(this.total, most); chunk += 1) await this.get(chunk);
    for (let at = 0; at < Math.min(this.total, most); at += 1) this.put(this.at(at), true);
    this.hands.changed();
  }

  click(event) {
    const index = this.indexOf(event.target);
    if (this.wasDragged || index < 0) { this.wasDragged = false; return; }
    this.here = index;
    if (event.shiftKey) this.range(index);
    else this.toggle(index);
    this.mark();
  }

  // --- dragging: what is selected is carried, else a frame is drawn ---------------------------------------------
  down(event) {
    if (event.button || event.pointerType === "touch" || !event.target.closest(".sizer, .sheet-wall")) return;
    const index = this.indexOf(event.target), one = this.at(index);
    this.wasDragged = false;
    const begun = { x: event.clientX, y: event.clientY, top: this.root.scrollTop }, before = new Map(this.hands.selection);
    let mode = "", frame = null, timer = 0, last = event;
    const moved = (next) => {
      last = next;
      if (!mode && Math.hypot(next.clientX - begun.x, next.clientY - begun.y) < 6) return;
      this.wasDragged = true;
      if (!mode) {
        mode = one && this.hands.selection.has(one.id) ? "carry" : "frame";
        if (mode === "frame") { frame = el("div", { class: "frame" }); this.sizer.append(frame); timer = setInterval(() => this.creep(last) && framed(), 40); }
      }
      if (mode === "carry") this.hands.carry(next, one);
      else framed();
    };
    const framed = () => {
      const box = this.root.getBoundingClientRect(), inset = this.sizer.getBoundingClientRect().left;
      const y0 = begun.y - box.top + begun.top, y1 = Math.min(Math.max(last.clientY, box.top), box.bottom) - box.top + this.root.scrollTop;
      const [left, right] = [begun.x - inset, last.clientX - inset].sort((a, b) => a - b), [top, bottom] = [y0, y1].sort((a, b) => a - b);
      Object.assign(frame.style, { left: `${left}px`, top: `${top}px`, width: `${right - left}px`, height: `${bottom - top}px` });
      this.hands.selection.clear();
      for (const [id, kept] of before) this.hands.selection.set(id, kept);
      const first = Math.max(Math.floor(left / this.size), 0), end = Math.min(Math.floor(right / this.size), this.columns - 1);
      for (let row = Math.max(Math.floor(top / this.size), 0); row <= Math.floor(bottom / this.size); row += 1) for (let column = first; column <= end; column += 1) if (row * this.columns + column < this.total) this.put(this.at(row * this.columns + column), true);
      this.hands.changed();
    };
    const end = (next, isDone) => {
      clearInterval(timer);
      frame?.remove();
      for (const [name, listener] of heard) removeEventListener(name, listener, true);
      if (mode === "carry") this.hands.carry(next, one, isDone ? "drop" : "stop");
      else if (mode === "frame" && !isDone) { this.hands.selection.clear(); for (const [id, kept] of before) this.hands.selection.set(id, kept); this.hands.changed(); }
      if (mode) setTimeout(() => { this.wasDragged = false; }, 0);  // the click that ends a drag comes before
    };
    const heard = [["pointermove", moved], ["pointerup", (next) => end(next, true)], ["pointercancel", (next) => end(next, false)], ["keydown", (next) => { if (next.key === "Escape" && mode) { next.preventDefault(); next.stopPropagation(); end(last, false); } }]];
    for (const [name, listener] of heard) addEventListener(name, listener, true);
  }

  /** Scroll on while the pointer is held at an edge. */
  creep({ clientY }) {
    const box = this.root.getBoundingClientRect(), by = clientY > box.bottom - 24 ? 16 : clientY < box.top + 24 ? -16 : 0, before = this.root.scrollTop;
    this.root.scrollTop += by;
    return this.root.scrollTop !== before;
  }
}
