// Looking at boxes that others drew: is this one good, does every one have its box? One key each, and the next comes.

import { Bench, boxLines } from "./bench.js";
import { svg } from "./canvas.js";
import { counted, el } from "./dom.js";

class Looks extends Bench {
  get isOneHistory() { return true; }  // undo goes back over the pictures of a page
  begin(_item, given) { return { answer: given?.answer ?? "" }; }
  answer(state) { return state.answer ? { answer: state.answer, data: {} } : null; }
  get left() { return this.desks.filter(({ state }) => !state.answer).length; }

  opened() { this.isLoupe = false; }

  choose(answer) {
    const { index, desk, state } = this, before = state.answer;
    const set = (value) => { state.answer = value; };
    desk.history.act(`“${answer}” of picture ${index + 1}`, () => set(answer), () => { set(before); if (this.index !== index) this.open(index); });
    const next = this.nextOpen();
    if (next >= 0) this.open(next);
    this.say(`Picture ${index + 1}: ${answer}. ${this.left ? `${counted(this.left, "picture is", "pictures are")} left.` : "All are answered: Enter hands them in."}`);
  }

  answers() {
    return this.choices.map(([answer, key, word]) => ({ word, key, isOn: this.state.answer === answer, run: () => this.choose(answer) }));
  }
  take({ key, altKey }) {
    if (altKey) return false;
    const found = this.choices.find(([, letter], place) => key === letter || key === String(place + 1));
    if (found) this.choose(found[0]);
    return Boolean(found);
  }
  missing() { return `Press ${this.choices[0][1]} or ${this.choices[1][1]} first.`; }
  get whatFor() { return "answered"; }
  down() { return false; }
}

export class Quality extends Looks {
  get choices() { return [["good", "g", "Good"], ["bad", "b", "Bad"]]; }
  get asked() { return this.item.marks.find((one) => one.shape?.box); }

  opened() {
    super.opened();
    const { width, height } = this.item, box = this.asked?.shape.box ?? [0, 0, width, height];
    const rect = (name) => svg("rect", { class: name, x: box[0], y: box[1], width: box[2] - box[0], height: box[3] - box[1] });
    const whole = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "whole-picture", role: "img", "aria-label": "The whole picture" },
      svg("image", { href: this.address(this.item)(320), width, height }), svg("g", { class: "box asked" }, rect("halo"), rect("line")));
    this.place.append(el("figure", { class: "beside" }, whole));
    const closer = () => { if (this.sheet.root.clientWidth) { this.sheet.show(box, 0.3); this.sheet.size = [this.sheet.root.clientWidth, this.sheet.root.clientHeight]; } };
    this.sheet.fit = closer;  // "0" shows the box again: the whole picture is beside it
    this.sheet.isFitted = true;
    requestAnimationFrame(closer);
  }

  hint() { return ["Good: around one ", el("strong", {}, this.name), ", with all that can be seen of it, and no side could move in."]; }
  draw(layer) { if (this.asked) layer.append(boxLines(this.sheet, this.asked.shape.box, "asked")); }
}

export class Coverage extends Looks {
  get choices() { return [["covered", "c", "All have a box"], ["missing", "m", "One is missing"]]; }
  get boxes() { return this.item.marks.filter((one) => one.shape?.box); }

  hint() { return [`${counted(this.boxes.length, "box is", "boxes are")} there. Look for small, far, half hidden and cut off ones too.`]; }
  draw(layer) { for (const mark of this.boxes) layer.append(boxLines(this.sheet, mark.shape.box, "asked")); }
}
