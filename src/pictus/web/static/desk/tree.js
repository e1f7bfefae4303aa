// The concepts as a tree onto which pictures are dropped, and as what is typed finds them. Only what is open is there.

import { call, el } from "./dom.js";

const FEW = 300;  // so many concepts stand open from the start
const MOST = 1500;  // rows drawn at once; more are searched for
const plain = (text) => text.toLowerCase().replaceAll("_", " ");

export class Concepts {
  constructor(rows) {
    this.all = rows.map(([id, name, depth, isClass, count, more], index) => ({ id, name, depth, isClass: Boolean(isClass), count, index, hay: plain(`${name} ${more}`), isGroup: (rows[index + 1]?.[2] ?? 0) > depth }));
    this.byId = new Map(this.all.map((one) => [one.id, one]));
  }

  static async load() { return new Concepts((await call("/desk/review/tree")).concepts); }
  name(id) { return this.byId.get(id)?.name ?? id; }

  parent(one) {
    for (let at = one.index - 1; at >= 0; at -= 1) if (this.all[at].depth < one.depth) return this.all[at];
    return null;
  }

  /** What a text may mean: the same first, then what begins so, then what holds it; classes before groups. */
  find(text, most) {
    const wanted = plain(text.trim());
    if (!wanted) return [];
    const rank = (one) => (one.id === text.trim() || plain(one.name) === wanted ? 0 : plain(one.name).startsWith(wanted) ? 1 : one.hay.split(" ").some((word) => word.startsWith(wanted)) ? 2 : one.hay.includes(wanted) || one.id.startsWith(wanted) ? 3 : 9);
    return this.all.map((one) => [rank(one), one]).filter(([at]) => at < 9)
      .sort(([one, a], [other, b]) => one - other || b.isClass - a.isClass || b.count - a.count || a.index - b.index).slice(0, most).map(([, one]) => one);
  }
}

export class Tree {
  /** hands: choose(concept) for Enter or a click, leave() for Escape. */
  constructor(root, input, concepts, here, hands) {
    Object.assign(this, { root, input, concepts, hands, at: null, shown: [] });
    this.open = new Set(concepts.all.length <= FEW ? concepts.all.map((one) => one.id) : concepts.all.filter((one) => !one.depth).map((one) => one.id));
    for (let one = concepts.byId.get(here); one; one = concepts.parent(one)) this.open.add(one.id);
    this.here = here;
    input.addEventListener("input", () => this.draw());
    input.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" || event.key === "Enter") { event.preventDefault(); this.go(this.shown[0]); }
      else if (event.key === "Escape") { if (input.value) { input.value = ""; this.draw(); } else hands.leave(); event.preventDefault(); }
    });
    root.addEventListener("keydown", (event) => this.key(event));
    root.addEventListener("focus", () => this.go(this.at ?? this.shown[0]));
    root.addEventListener("click", (event) => {
      const one = this.of(event.target);
      if (!one) return;
      this.go(one);
      if (one.isGroup && event.target.closest(".twist")) this.turn(one);
      else hands.choose(one, true);
    });
    this.draw();
    root.querySelector("[aria-current]")?.scrollIntoView({ block: "center" });
  }

  of(target) { return this.concepts.byId.get(target?.closest?.("[role=treeitem]")?.dataset.drop); }

  visible() {
    if (this.input.value.trim()) return this.concepts.find(this.input.value, 200);
    const found = [];
    for (let at = 0; at < this.concepts.all.length;) {
      const one = this.concepts.all[at];
      found.push(one);
      at += 1;
      if (one.isGroup && !this.open.has(one.id)) while (at < this.concepts.all.length && this.concepts.all[at].depth > one.depth) at += 1;
    }
    return found;
  }

  draw() {
    const isSearch = Boolean(this.input.value.trim()), all = this.visible();
    this.shown = all.slice(0, MOST);
    if (!this.shown.includes(this.at)) this.at = null;
    const first = this.at ?? this.shown[0];
    this.root.replaceChildren(...this.shown.map((one) => {
      const item = el("div", { role: "treeitem", "aria-level": isSearch ? 1 : one.depth + 1, "aria-expanded": one.isGroup && !isSearch ? String(this.open.has(one.id)) : null, "aria-current": one.id === this.here ? "true" : null, tabindex: one === first ? 0 : -1, "data-drop": one.id, class: one.isClass ? "node" : "node above" },
        el("span", { class: "twist", "aria-hidden": "true" }, one.isGroup && !isSearch ? (this.open.has(one.id) ? "▾" : "▸") : ""), el("span", { class: "node-name" }, one.name), one.count ? el("span", { class: "dim" }, one.count.toLocaleString("en")) : null);
      if (!isSearch) item.style.setProperty("--depth", Math.min(one.depth, 8));
      return item;
    }), ...(all.length > MOST ? [el("p", { class: "dim" }, `${(all.length - MOST).toLocaleString("en")} more: type to find them`)] : []), ...(!all.length ? [el("p", { class: "dim" }, "No concept is called so.")] : []));
  }

  go(one) {
    if (!one) return;
    this.at = one;
    for (const item of this.root.querySelectorAll("[tabindex='0']")) item.tabIndex = -1;
    const item = this.root.querySelector(`[data-drop="${CSS.escape(one.id)}"]`);
    if (!item) return;
    item.tabIndex = 0;
    item.focus();
  }

  turn(one, isOpen = !this.open.has(one.id)) {
    if (isOpen) this.open.add(one.id); else this.open.delete(one.id);
    this.draw();
    this.go(one);
  }

  key(event) {
    const one = this.of(event.target);
    if (!one || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.shown.indexOf(one), isOpen = this.open.has(one.id), isSearch = Boolean(this.input.value.trim());
    if (event.key === "ArrowDown" || event.key === "j") this.go(this.shown[at + 1]);
    else if (event.key === "ArrowUp" || event.key === "k") { if (at) this.go(this.shown[at - 1]); else this.input.focus(); }
    else if (event.key === "ArrowRight" || event.key === "l") { if (one.isGroup && !isOpen && !isSearch) this.turn(one, true); else this.go(this.shown[at + 1]); }
    else if (event.key === "ArrowLeft" || event.key === "h") { if (one.isGroup && isOpen && !isSearch) this.turn(one, false); else this.go(this.concepts.parent(one)); }
    else if (event.key === "Home") this.go(this.shown[0]);
    else if (event.key === "End") this.go(this.shown.at(-1));
    else if (event.key === "Enter") this.hands.choose(one, false);
    else if (event.key === "Escape") this.hands.leave();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
