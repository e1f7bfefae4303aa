// The grid: one concept, a wall of candidates; what is marked shows it. Unmarked means no.
// Near-duplicates (equal fold) stand as one tile and are answered as one.

import { counted, el } from "./dom.js";
import { registerKind } from "./desk.js";

const YES = "yes", NO = "no", UNSURE = "unsure";
const GAP = 4, LEAST = 92, LOWEST = 0.8, MOST_PX = 320, WIDEST = 4 / 3, WHOLE_PX = 168, LITTLE_PX = 100, NARROW = 720, HOLD_MS = 500, STEPS = 60, SLIP_MS = 150;
const SPOKEN = { [YES]: "true", [NO]: "false", [UNSURE]: "mixed" };

let larger = 0;  // + and − on the wall, for the session

// {columns, width, height}: all tiles at once as large as they can be, at most `most` px high and no wider than pictures
// are, square or up to a fifth lower; where that makes them too small, a comfortable size and a wall that is scrolled.
const layout = (count, width, height, most) => {
  const roomOf = (columns) => (width - GAP * (columns - 1)) / columns, widthOf = (columns) => Math.min(roomOf(columns), most * WIDEST);
  let best = { columns: 0, area: 0 };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns), wide = widthOf(columns), tall = Math.min(wide, most, (height - GAP * (rows - 1)) / rows);
    if (wide >= LEAST && tall >= LOWEST * Math.min(wide, most) && wide * tall > best.area) best = { columns, area: wide * tall, width: wide, height: tall };
  }
  if (!best.columns || larger) {
    const columns = Math.max(2, (best.columns || (width < NARROW ? 3 : Math.max(3, Math.round(width / 124)))) - larger);
    return { columns, width: roomOf(columns), height: roomOf(columns) };
  }
  return best;
};

const show = (page, root, hands) => {
  // one group per tile: an item alone, or all items of one fold
  const groups = [], byFold = new Map();
  for (const item of page.items) {
    const group = item.fold > 0 ? byFold.get(item.fold) : undefined;
    if (group) group.push(item);
    else {
      const made = [item];
      groups.push(made);
      if (item.fold > 0) byFold.set(item.fold, made);
    }
  }
  const start = new Map((hands.drafted ?? page.given.map((one) => [one.position, one.answer])));
  const marks = groups.map((group) => start.get(group[0].position) ?? NO);
  const past = [];
  let at = 0, anchor = 0, isZoomed = false;

  const wall = el("div", { class: "marks", role: "group", "aria-label": "Candidates" });
  let size = hands.side(150);
  const tiles = groups.map((group, place) => {
    const [first] = group, little = Math.max(first.width, first.height) <= LITTLE_PX;
    const picture = el("img", { src: hands.picture(first.position, size), alt: "", draggable: "false", class: little ? "small" : null, decoding: "async" });
    return el("button", { type: "button", role: "checkbox", class: group.length > 1 ? "mark stack" : "mark", tabindex: place ? "-1" : "0", "data-place": place },
      picture, group.length > 1 ? el("span", { class: "many" }, `${group.length} alike`) : null, el("span", { class: "badge", "aria-hidden": "true" }));
  });
  wall.append(...tiles);
  root.replaceChildren(wall);

  const paint = (place) => {
    const tile = tiles[place], group = groups[place];
    tile.setAttribute("aria-checked", SPOKEN[marks[place]]);
    tile.setAttribute("aria-label", `Picture ${place + 1} of ${groups.length}${group.length > 1 ? `, ${group.length} near-duplicates` : ""}${marks[place] === UNSURE ? ", unsure" : ""}`);
    if (isZoomed && place === at) zoomed();
  };
  const tell = () => {
    const number = (answer) => groups.reduce((sum, group, place) => sum + (marks[place] === answer ? group.length : 0), 0);
    const unsure = number(UNSURE);
    hands.tally(`${number(YES)} of ${page.items.length} marked${unsure ? ` · ${unsure} unsure` : ""}`);
  };
  const change = (places, answerOf) => {
    const before = places.map((place) => [place, marks[place]]);
    for (const place of places) marks[place] = answerOf(marks[place], place);
    if (before.every(([place, answer]) => marks[place] === answer)) return;
    past.push(before);
    if (past.length > STEPS) past.shift();
    for (const place of places) paint(place);
    tell();
    hands.draft(groups.flatMap((group, place) => group.map((item) => [item.position, marks[place]])));
  };
  const flip = (answer) => (now) => now === answer ? NO : answer;
  const between = (a, b) => Array.from({ length: Math.abs(a - b) + 1 }, (_, step) => Math.min(a, b) + step);
  const everything = () => groups.map((_, place) => place);
  const all = () => change(everything(), () => YES);
  const none = () => change(everything(), () => NO);
  const invert = () => change(everything(), (now) => now === YES ? NO : now === NO ? YES : now);
  const back = () => {
    const before = past.pop();
    if (!before) return hands.say("Nothing was changed on this page.");
    for (const [place, answer] of before) { marks[place] = answer; paint(place); }
    tell();
  };
  const range = (to) => {
    const wanted = marks[anchor] === NO ? YES : marks[anchor];
    change(between(anchor, to), () => wanted);
  };

  // --- moving --------------------------------------------------------------------------------
  const largest = Math.max(...page.items.map((item) => Math.max(item.width, item.height)));
  const most = largest <= LITTLE_PX ? Math.max(LEAST, 2 * largest) : MOST_PX;  // small files are shown at twice their size at most
  let columns = 1;
  const fit = () => {
    const top = wall.getBoundingClientRect().top + scrollY, below = document.getElementById("bar").offsetHeight;
    const found = layout(groups.length, wall.clientWidth, innerHeight - top - below - 14, most);
    columns = found.columns;
    wall.style.setProperty("--columns", columns);
    wall.style.setProperty("--wide", `${found.width}px`);
    wall.style.setProperty("--tall", `${Math.floor(found.height)}px`);
    wall.classList.toggle("whole", found.height >= WHOLE_PX);  // nothing at an edge may be missed; smaller tiles are filled
    const wanted = hands.side(Math.max(found.width, found.height));
    if (wanted <= size) return;
    size = wanted;
    for (const [place, tile] of tiles.entries()) tile.querySelector("img").src = hands.picture(groups[place][0].position, size);
  };
  const go = (place, { focus = true } = {}) => {
    tiles[at].tabIndex = -1;
    at = Math.min(Math.max(place, 0), groups.length - 1);
    tiles[at].tabIndex = 0;
    if (isZoomed) zoomed();
    else if (focus) tiles[at].focus();
  };
  const steps = () => ({ ArrowLeft: -1, h: -1, H: -1, ArrowRight: 1, l: 1, L: 1, ArrowUp: -columns, k: -columns, K: -columns, ArrowDown: columns, j: columns, J: columns });
  const moved = (by) => {
    const to = at + by;
    return to < 0 || to >= groups.length ? (Math.abs(by) > 1 ? at : Math.min(Math.max(to, 0), groups.length - 1)) : to;
  };

  // --- large ------------------------------------------------------------------------------------
  const large = el("img", { alt: "" }), caption = el("p", { class: "zoom-said", role: "status" }), members = el("div", { class: "members" });
  const zoom = el("dialog", { class: "zoom", "aria-label": "Large view" }, el("div", { class: "zoom-box", tabindex: "-1", autofocus: true }, large), members, caption,
    el("div", { class: "zoom-do" },
      el("button", { type: "button", class: "quiet", onclick: () => go(moved(-1)), "aria-label": "Picture before" }, "←"),
      el("button", { type: "button", class: "quiet", onclick: () => change([at], flip(YES)) }, "Mark ", el("kbd", {}, "Space")),
      el("button", { type: "button", class: "quiet", onclick: () => change([at], flip(UNSURE)) }, "Unsure ", el("kbd", {}, "n")),
      el("button", { type: "button", class: "quiet", onclick: () => go(moved(1)), "aria-label": "Next picture" }, "→"),
      el("button", { type: "button", class: "quiet", onclick: () => closeZoom() }, "Close ", el("kbd", {}, "z"))));
  root.append(zoom);
  const look = (item) => {
    large.width = item.width;
    large.height = item.height;
    large.src = hands.picture(item.position, 640);
    if (Math.max(item.width, item.height) > 640) {  // the thumbnail stands until the file itself is here
      const whole = new Image();
      whole.src = hands.picture(item.position, 0);
      whole.decode().then(() => { if (isZoomed && groups[at].includes(item)) large.src = whole.src; }, () => {});  // the thumbnail stays
    }
  };
  const zoomed = () => {
    const group = groups[at];
    if (zoom.dataset.at !== String(at)) {
      zoom.dataset.at = at;
      look(group[0]);
      members.replaceChildren(...(group.length > 1 ? group.map((item, place) => el("button", { type: "button", "aria-label": `Near-duplicate ${place + 1}`, onclick: () => look(item) }, el("img", { src: hands.picture(item.position, 160), alt: "" }))) : []));
    }
    zoom.dataset.answer = marks[at];
    caption.textContent = `${at + 1} of ${groups.length} · ${{ [YES]: "marked", [NO]: "not marked", [UNSURE]: "unsure" }[marks[at]]}${group.length > 1 ? ` · ${group.length} near-duplicates, answered as one` : ""}`;
  };
  const openZoom = () => { isZoomed = true; delete zoom.dataset.at; zoomed(); zoom.showModal(); };
  const zoomClosed = () => { if (!isZoomed) return; isZoomed = false; large.removeAttribute("src"); go(at); };
  const closeZoom = () => { zoom.close(); zoomClosed(); };
  zoom.addEventListener("close", zoomClosed);  // by Escape

  // --- pointer: press and drag paints, shift fills up to here, the other button says unsure -------------------
  let painting = null, lastPoint = null, holding = 0, pressed = "", wasHeld = false;
  const placeOf = (target) => { const tile = target?.closest?.(".mark"); return tile && wall.contains(tile) ? Number(tile.dataset.place) : -1; };
  wall.addEventListener("pointerdown", (event) => {
    const place = placeOf(event.target);
    pressed = event.pointerType;
    wasHeld = false;
    if (place < 0) return;
    if (event.pointerType === "touch") {
      holding = setTimeout(() => { wasHeld = true; change([place], flip(UNSURE)); navigator.vibrate?.(15); }, HOLD_MS);
      return;
    }
    if (event.button) return;
    event.preventDefault();  // no selection, no dragged picture
    go(place);
    if (event.shiftKey) { range(place); anchor = place; return; }
    change([place], flip(YES));
    anchor = place;
    painting = marks[place];
    lastPoint = [event.clientX, event.clientY];
  });
  wall.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch" && Math.hypot(event.movementX, event.movementY) > 6) clearTimeout(holding);
    if (painting === null || !(event.buttons & 1)) return;
    const [x, y] = lastPoint, far = Math.max(1, Math.ceil(Math.hypot(event.clientX - x, event.clientY - y) / 12)), touched = [];
    for (let step = 1; step <= far; step++) {  // a quick hand skips tiles: look at what lies on the way
      const place = placeOf(document.elementFromPoint(x + (event.clientX - x) * step / far, y + (event.clientY - y) * step / far));
      if (place >= 0 && marks[place] !== painting && !touched.includes(place)) touched.push(place);
    }
    lastPoint = [event.clientX, event.clientY];
    const answer = painting;
    if (touched.length) { change(touched, () => answer); go(touched.at(-1), { focus: false }); }
  });
  const letGo = () => { painting = null; clearTimeout(holding); };
  addEventListener("pointerup", letGo);
  addEventListener("pointercancel", letGo);
  wall.addEventListener("click", (event) => {
    const place = placeOf(event.target);
    if (place < 0 || wasHeld || (event.detail && pressed !== "touch")) return;  // the mouse has marked on press
    go(place);
    change([place], flip(YES));
    anchor = place;
  });
  wall.addEventListener("contextmenu", (event) => {
    const place = placeOf(event.target);
    if (place < 0) return;
    event.preventDefault();
    if (pressed === "touch") return;
    go(place);
    change([place], flip(UNSURE));
  });
  wall.addEventListener("focusin", (event) => { const place = placeOf(event.target); if (place >= 0 && place !== at && !isZoomed) go(place, { focus: false }); });

  // --- keys ------------------------------------------------------------------------------------------
  const key = (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "z") { back(); return true; }
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const isElsewhere = !isZoomed && event.target !== document.body && !event.target.closest(".mark, main") ;
    const by = steps()[event.key];
    if (by !== undefined && !isElsewhere) {
      const before = at;
      go(moved(by));
      if (event.shiftKey && !isZoomed) { if (marks[before] === NO && before === anchor) change([before], () => YES); range(at); }
      else anchor = at;
      return true;
    }
    if (event.key === " ") {
      if (event.target.closest("button:not(.mark), a, summary")) return false;
      if (event.shiftKey) range(at);
      else { change([at], flip(YES)); anchor = at; }
      return true;
    }
    if (isZoomed) {
      if (event.key === "n") change([at], flip(UNSURE));
      else if (event.key === "z") closeZoom();
      else if (event.key === "Enter") { if (event.target.closest("button")) return false; closeZoom(); }
      else return event.key !== "Escape" && event.key !== "Tab" && event.key.length === 1;
      return true;
    }
    const act = { n: () => change([at], flip(UNSURE)), a: all, c: none, i: invert, z: openZoom, p: () => hands.unpicturable(), f: unfold, Home: () => go(0), End: () => go(groups.length - 1), "+": () => resize(1), "=": () => resize(1), "-": () => resize(-1) }[event.key];
    if (!act) return false;
    act();
    return true;
  };
  const resize = (by) => { larger = Math.max(-8, Math.min(8, larger + by)); fit(); };
  // The pictures of a stack one by one, where they turn out not to be the same.
  const unfold = () => {
    if (groups[at].length === 1) return hands.say("This picture stands alone.");
    const drafted = groups.flatMap((group, place) => group.map((item) => [item.position, marks[place]]));
    const opened = new Set(groups[at].map((item) => item.position));
    const focus = groups[at][0].position;
    Object.assign(hands, { drafted });
    leave();
    Object.assign(view, show({ ...page, items: page.items.map((item) => opened.has(item.position) ? { ...item, fold: 0 } : item) }, root, hands));
    view.goTo(focus);
  };

  const button = (words, name, act) => el("button", { type: "button", class: "quiet", onclick: act, title: `${words} (${name})`, "aria-keyshortcuts": name }, words);
  hands.tools.replaceChildren(
    button("All", "a", all), button("None", "c", none), button("Invert", "i", invert), button("Unsure", "n", () => { change([at], flip(UNSURE)); go(at); }),
    button("Large view", "z", openZoom));

  const watch = new ResizeObserver(() => fit());
  watch.observe(root);
  watch.observe(document.getElementById("concept"));
  const leave = () => {
    watch.disconnect();
    removeEventListener("pointerup", letGo);
    removeEventListener("pointercancel", letGo);
    if (zoom.open) zoom.close();
  };
  for (const place of everything()) paint(place);
  tell();
  fit();
  tiles[0]?.focus({ preventScroll: true });
  // The second press of a double one would hand in a page that nobody has seen.
  const shown = performance.now();
  const isSlip = () => performance.now() - shown < SLIP_MS && !page.given.length && marks.every((one) => one === NO);
  const view = {
    key, leave,
    goTo: (position) => go(groups.findIndex((group) => group.some((item) => item.position === position))),
    submit: () => isSlip() || hands.submit(groups.flatMap((group, place) => group.map((item) => ({ position: item.position, answer: marks[place], data: {} })))),
  };
  return view;
};

registerKind("grid", {
  asksWhatCannotBe: true,
  question: (page) => `Which show ${page.concept.name}?`,
  keys: [
    ["← ↑ ↓ → h j k l", "move"], ["Space", "mark or unmark; with Shift all from the last mark to here"], ["Shift+→", "mark along the way"],
    ["n", "unsure: right click, or a long press on a touch screen"], ["a c i", "mark all, clear all, invert"], ["Ctrl+z", "take back the last change on this page"],
    ["z", "large view; arrows go on in it"], ["f", "spread a stack of near-duplicates"], ["p", "this concept cannot be pictured"], ["+ −", "larger, smaller"],
  ],
  show,
});
