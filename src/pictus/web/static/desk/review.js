// Review: walls on which a reviewer selects pictures and rules on them; the tree; the large view with the history.

import { ask, call, counted, el, pauseButtons, quietLine, worded } from "./dom.js";
import { Wall } from "./wall.js";
import { Concepts, Tree } from "./tree.js";

const byId = (id) => document.getElementById(id);
const MOST_ALL = 2000, ASK_FROM = 100, SAID_MS = 7000, RECENT = 6;

// --- the list, and the record: taking back, pausing ---------------------------------------------------------------
const problem = byId("problem");
const act = async (path, body) => {
  problem.textContent = "";
  try { await call(path, body); location.reload(); } catch (error) { problem.textContent = worded(error); }
};
for (const button of document.querySelectorAll("[data-take-back]")) button.addEventListener("click", () => act("/desk/review/take-back", { batch: button.dataset.takeBack }));
pauseButtons((body) => act("/desk/review/pause", body), "A reviewer wants to talk with you first.");

const root = byId("review");
if (root) start(root);

function start(root) {
  const selection = new Map(), undos = [], redos = [], recent = [];
  let concepts = new Concepts([]), tree = null, wall = null, isBusy = false;

  const say = quietLine(byId("said"), SAID_MS);
  const refused = (error) => say(error.isPassing ? "No connection just now: nothing was changed. Try again in a moment." : worded(error));
  const name = (id) => concepts.name(id);
  const pictures = (count) => counted(count, "picture");

  // --- what a tile says -----------------------------------------------------------------------------------------
  const ruled = (one) => one.status === "accepted" ? (one.label === one.concept ? `✓ ${name(one.label)}` : `→ ${name(one.label)}`) : one.status === "rejected" ? `✗ not ${name(one.label)}` : "";
  const short = (one) => {
    const { of, concept } = one.wall.asked;
    if (of === "disagreements") return one.other || concept ? one.note : `${name(one.concept)} ${one.note.replace(/ yes, (\d+) no/, ":$1")}`;
    if (of === "suspects") return `${name(one.concept)}, or ${name(one.other)}?`;
    if (of === "pair") return one.note.startsWith("mixed") ? "mixed" : "";
    if (of === "concept") return one.note.startsWith("unsettled") ? "unsettled" : "";
    if (of === "person") return `${one.note.split(";")[0]}: ${name(one.concept)}`;
    return "";
  };
  const tag = (one) => (one.by && ruled(one) ? { text: ruled(one), kind: "ruled" } : one.refused ? { text: `✗ not ${name(one.refused)}`, kind: "ruled" } : { text: short(one), kind: "note" });
  const label = (one, index) => `Picture ${index + 1} of ${one.wall.total}, ${name(one.concept)}${one.note ? `: ${one.note}` : ""}${one.by ? `; ruled by ${one.by}: ${ruled(one)}` : ""}`;

  // --- selecting ------------------------------------------------------------------------------------------------
  const changed = () => {
    for (const each of walls) each.mark();
    byId("tally").textContent = selection.size ? `${selection.size.toLocaleString("en")} selected` : "";
    const others = chosen().some((one) => one.other);
    document.querySelector(".bar [data-act=other]").hidden = !others;
  };
  const chosen = () => {
    if (byId("look").open && looked) return [looked];
    if (selection.size) return [...selection.values()];
    const one = wall?.at(wall.here);
    return one ? [one] : [];
  };
  const clear = () => { selection.clear(); changed(); };

  // --- ruling ---------------------------------------------------------------------------------------------------
  const now = (one) => (one.by && one.status === "accepted" ? one.label : one.concept);
  const does = (many, to) => {
    const from = new Map();
    for (const one of many) if (now(one) && now(one) !== to) from.set(now(one), (from.get(now(one)) ?? 0) + 1);
    const parts = [...from].sort((a, b) => b[1] - a[1]).slice(0, 3).map(([id, count]) => `${count.toLocaleString("en")} no longer ${name(id)}`);
    if (from.size > 3) parts.push("…");
    const before = many.filter((one) => one.by).length;
    if (before) parts.push(`${before.toLocaleString("en")} ruled on before`);
    return `${pictures(many.length)} → ${name(to)}${parts.length ? `: ${parts.join(", ")}` : ""}`;
  };
  // refused: what was just said not to be, by picture; its label may be another one that stands
  const apply = (states, refused = {}) => {
    for (const each of walls) for (const chunk of each.chunks.values()) for (const one of chunk ?? []) if (states[one.id]) { [one.label, one.status, one.by] = states[one.id]; one.refused = refused[one.id]; }
    if (looked && states[looked.id]) { [looked.label, looked.status, looked.by] = states[looked.id]; look(looked); }
  };
  const send = async (many, body, words) => {
    if (isBusy) return false;
    if (many.length >= ASK_FROM && !(await ask(`${words}. Rule on all of them?`, `Yes, ${pictures(many.length)}`))) return false;
    isBusy = true;
    try {
      const found = await call("/desk/review/rule", { ...body, reason: byId("reason").value.trim() });
      undos.push(found.batch);
      redos.length = 0;
      const hadSelection = selection.size > 0;
      selection.clear();
      apply(found.now, body.act === "is-not" ? Object.fromEntries(body.pictures) : {});
      changed();
      say(`${words}${found.overruled ? `; ${found.overruled} earlier ${found.overruled === 1 ? "ruling" : "rulings"} replaced` : ""}. u takes it back.`);
      byId("undo").disabled = false;
      if (!hadSelection && !byId("look").open && wall) wall.go(wall.here + 1);
      return true;
    } catch (error) { refused(error); return false; } finally { isBusy = false; }
  };
  const none = () => say("Select pictures first: click, Space, or drag across them.");
  const rule = (word) => {
    const many = chosen().filter((one) => one.concept);
    if (!many.length) return none();
    const names = new Set(many.map((one) => one.concept)), which = names.size === 1 ? name(many[0].concept) : "what each is asked about";
    return send(many, { act: word, pictures: many.map((one) => [one.id, one.concept]) }, `${pictures(many.length)}: ${word === "is" ? "" : "not "}${which}`);
  };
  const move = async (to, many = chosen()) => {
    const moving = many.filter((one) => !(one.by && one.status === "accepted" && one.label === to));
    if (!many.length) return none();
    if (!moving.length) return say(`They are ${name(to)} already.`);
    const isDone = await send(moving, { act: "move", to, pictures: moving.map((one) => [one.id, one.concept]) }, does(moving, to));
    if (isDone) recent.splice(0, recent.length, ...[to, ...recent.filter((one) => one !== to)].slice(0, RECENT));
    return isDone;
  };
  const other = () => {
    const many = chosen().filter((one) => one.other);
    if (!many.length) return say("These pictures have no other concept to choose.");
    return send(many, { act: "move", pictures: many.map((one) => [one.id, one.concept, one.other]) }, `${pictures(many.length)} → ${new Set(many.map((one) => one.other)).size === 1 ? name(many[0].other) : "the other one of each"}`);
  };
  const back = async (from, to, words) => {
    const batch = from.pop();
    if (!batch) return say(`Nothing to ${words}.`);
    try {
      const found = await call("/desk/review/take-back", { batch });
      to.push(found.batch);
      apply(found.now);
      changed();
      say(`${words === "undo" ? "Taken back" : "Done again"} on ${pictures(found.pictures)}${found.overruled ? `; ${found.overruled} left alone that were ruled on since` : ""}.`);
    } catch (error) { if (error.isPassing) from.push(batch); refused(error); }
    byId("undo").disabled = !undos.length;
  };
  const undo = () => back(undos, redos, "undo"), redo = () => back(redos, undos, "do again");

  // --- carrying onto a concept ------------------------------------------------------------------------------------
  let chip = null, target = null, opening = 0;
  const carry = (event, one, ends = "") => {
    if (!chip) { chip = el("div", { class: "chip-of", "aria-hidden": "true" }); document.body.append(chip); document.body.classList.add("carrying"); }
    const many = [...selection.values()], found = document.elementFromPoint(event.clientX, event.clientY)?.closest("[data-drop]");
    if (found !== target) {
      target?.classList.remove("over");
      target = found ?? null;
      target?.classList.add("over");
      clearTimeout(opening);
      const node = target && tree?.of(target);
      if (node?.isGroup && !tree.open.has(node.id)) opening = setTimeout(() => { tree.open.add(node.id); tree.draw(); target = null; }, 700);
    }
    const to = target?.dataset.drop, isOwn = to && many.every((each) => now(each) === to);
    chip.textContent = to && !isOwn ? does(many, to) : pictures(many.length);
    const side = event.clientX > innerWidth / 2;
    chip.style.transform = `translate(${event.clientX + (side ? -14 : 14)}px, ${event.clientY + 14}px)${side ? " translateX(-100%)" : ""}`;
    const kin = byId("tree"), box = kin.getBoundingClientRect();
    if (event.clientX < box.right && event.clientX > box.left) kin.scrollTop += event.clientY > box.bottom - 24 ? 12 : event.clientY < box.top + 24 ? -12 : 0;
    if (!ends) return;
    clearTimeout(opening);
    chip.remove();
    target?.classList.remove("over");
    document.body.classList.remove("carrying");
    chip = target = null;
    if (ends === "drop" && to && !isOwn) move(to, many);
  };

  // --- choosing a concept by typing -------------------------------------------------------------------------------
  const dialog = byId("move"), input = byId("move-to"), list = byId("move-list");
  let options = [], at = 0, moving = [];
  const offer = () => {
    const first = [...new Set([...moving.map((one) => one.other), ...recent, ...concepts.all.filter((one) => one.isClass).slice(0, 12).map((one) => one.id)])].filter((id) => concepts.byId.has(id) && moving.some((one) => now(one) !== id));
    options = input.value.trim() ? concepts.find(input.value, 12) : first.slice(0, 12).map((id) => concepts.byId.get(id));
    at = 0;
    list.replaceChildren(...options.map((one, place) => el("li", { id: `move-${place}`, role: "option", "data-place": place }, one.name, el("span", { class: "dim" }, ` ${concepts.parent(one)?.name ?? ""}`))));
    pick();
  };
  const pick = () => {
    [...list.children].forEach((item, place) => item.setAttribute("aria-selected", String(place === at)));
    list.children[at]?.scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", options.length ? `move-${at}` : "");
    byId("move-does").textContent = options[at] ? does(moving, options[at].id) : "No concept is called so.";
  };
  const choose = () => { const one = options[at]; if (one) { dialog.close(); move(one.id, moving); } };
  const openMove = () => {
    moving = chosen();
    if (!moving.length) return none();
    byId("move-title").textContent = `Move ${pictures(moving.length)} to…`;
    input.value = "";
    offer();
    dialog.showModal();
    input.focus();
  };
  input.addEventListener("input", offer);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") at = Math.min(at + 1, options.length - 1);
    else if (event.key === "ArrowUp") at = Math.max(at - 1, 0);
    else if (event.key === "Enter") choose();
    else return;
    event.preventDefault();
    pick();
  });
  list.addEventListener("click", (event) => { const item = event.target.closest("li"); if (item) { at = Number(item.dataset.place); choose(); } });

  // --- one picture large, with what was said of it ------------------------------------------------------------------
  let looked = null;
  const view = byId("look");
  const look = async (one) => {
    if (!one) return;
    looked = one;
    byId("look-title").textContent = `${name(one.concept) || "Picture"}${one.note ? `: ${one.note}` : ""}`;
    byId("look-image").src = `/desk/review/pictures/${one.id}/640`;
    byId("look-image").alt = name(one.concept);
    byId("look-whole").href = `/desk/review/pictures/${one.id}/0`;
    if (!view.open) view.showModal();
    try {
      const found = await call(`/desk/review/picture?image=${one.id}`);
      if (looked !== one) return;
      const { name: called, status, by } = found.now;
      byId("look-now").textContent = called ? `Now ${status === "rejected" ? `not ${called}` : called}${status === "unsettled" ? ", unsettled" : ""}${by ? `, ruled by ${by}` : ""}` : "Not settled yet";
      byId("look-history").replaceChildren(...found.history.map((entry) => el("li", { class: entry.counts ? "" : "past" }, el("span", { class: "dim" }, `${entry.at.replace("T", " ").replace("Z", "")} `), el("b", {}, entry.who), ` ${entry.what}`, entry.why ? el("span", { class: "dim" }, ` ${entry.why}`) : null, entry.counts ? null : el("span", { class: "dim" }, " · no longer counts"))));
    } catch (error) { refused(error); }
  };
  const step = async (by) => { if (!looked) return; const { wall: on, index } = looked; if (index + by < 0 || index + by >= on.total) return; await on.go(index + by); look(on.at(on.here)); };
  view.addEventListener("close", () => {  // it comes late: who has gone on by a key is not called back
    looked = null;
    if (document.activeElement === document.body || wall?.root.contains(document.activeElement)) wall?.go(wall.here);
  });
  byId("look-close").addEventListener("click", () => view.close());
  byId("look-before").addEventListener("click", () => step(-1));
  byId("look-next").addEventListener("click", () => step(1));

  // --- walls, tree, buttons ------------------------------------------------------------------------------------------
  const hands = { selection, tag, label, changed, carry, failed: refused };
  const walls = [...root.querySelectorAll(".sheet-wall")].map((one) => new Wall(one, hands));
  wall = walls[0] ?? null;
  for (const each of walls) each.root.addEventListener("focusin", () => { wall = each; changed(); });
  Concepts.load().then((found) => {
    concepts = found;
    tree = new Tree(byId("tree"), byId("find"), concepts, root.dataset.concept, {
      leave: () => wall?.go(wall.here),
      choose: (one, isClick) => {
        if (selection.size && isClick) say(`Enter moves ${does([...selection.values()], one.id)}.`);
        else if (selection.size) move(one.id).then((isDone) => isDone && wall?.go(wall.here));
        else if (one.isGroup && isClick) tree.turn(one);
        else location.href = `/review/wall?of=concept&concept=${encodeURIComponent(one.id)}`;
      },
    });
    for (const each of walls) { each.drawn = ""; each.draw(); each.mark(); }
  }, refused);
  const acts = { accept: () => rule("is"), reject: () => rule("is-not"), other, move: openMove, look: () => look(chosen()[0]) };
  for (const button of document.querySelectorAll("[data-act]")) button.addEventListener("click", () => acts[button.dataset.act]());
  byId("undo").addEventListener("click", undo);
  byId("help-button").addEventListener("click", () => byId("help").showModal());

  // --- keys --------------------------------------------------------------------------------------------------------
  document.addEventListener("keydown", (event) => {
    const { key } = event, isLooking = view.open;
    if ([...document.querySelectorAll("dialog[open]")].some((one) => one !== view) || event.altKey) return;
    if (event.target.closest("input, textarea, select")) { if (key === "Escape") wall?.go(wall.here); return; }
    if (event.ctrlKey || event.metaKey) {
      if (key !== "a" || isLooking || !wall) return;
      wall.all(MOST_ALL).then(() => { if (wall.total > MOST_ALL) say(`The first ${MOST_ALL.toLocaleString("en")} of ${wall.total.toLocaleString("en")} are selected.`); });
      return void event.preventDefault();
    }
    const steps = { ArrowLeft: -1, h: -1, H: -1, ArrowRight: 1, l: 1, L: 1, ArrowUp: -wall?.columns, k: -wall?.columns, K: -wall?.columns, ArrowDown: wall?.columns, j: wall?.columns, J: wall?.columns };
    const isOnControl = event.target.closest("a, button:not([role=checkbox])");
    if (key === "a") rule("is");
    else if (key === "x") rule("is-not");
    else if (key === "o") other();
    else if (key === "r") openMove();
    else if (key === "u") undo();
    else if (key === "U") redo();
    else if (key === "?") byId("help").showModal();
    else if (isLooking) {
      if (key === "ArrowLeft") step(-1);
      else if (key === "ArrowRight") step(1);
      else return;
    }
    else if (key === "t") byId("find").focus();
    else if (key === "Escape") clear();
    else if (key === "Enter" && !isOnControl) look(wall?.at(wall.here));
    else if (key === " " && !isOnControl && wall) wall.toggle(wall.here);
    else if (key in steps && wall && !isOnControl) {
      if (event.shiftKey && !selection.size) { wall.anchor = wall.here; wall.put(wall.at(wall.here), true); }
      wall.go(wall.here + steps[key], event.shiftKey);
    }
    else if (key === "Home" && wall) wall.go(0);
    else if (key === "End" && wall) wall.go(wall.total - 1);
    else return;
    event.preventDefault();
  });
  document.addEventListener("keyup", (event) => { if (event.key === " " && event.target.closest(".sheet-wall .mark")) event.preventDefault(); });  // else some browsers click as well
  wall?.draw();
}
