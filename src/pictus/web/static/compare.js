// Two pictures at one place: flicked by a key, one over the other, or what differs between them.

const dialog = document.getElementById("compare");
const members = [...document.querySelectorAll(".member[data-b]")];
const svg = document.getElementById("compare-svg"), under = document.getElementById("compare-a");
const over = document.getElementById("compare-b"), group = document.getElementById("compare-g");
let at = -1, way = "flick", isOver = false;

const set = (one, values) => { for (const [name, value] of Object.entries(values)) one.setAttribute(name, value); };

const show = (index) => {
  at = Math.min(Math.max(index, 0), members.length - 1);
  const { a, b, size, frame, turn, mirrored, inverse, kept, words } = members[at].dataset;
  let [width, height, otherWidth, otherHeight] = size.split(" ").map((one) => Number(one) || 1);
  const beside = way === "beside";
  // the larger picture lies below; the other one is laid on it, or into the part of it that it shows
  const [x, y, w, h] = frame && !beside ? frame.split(" ").map(Number).map((share, place) => share * (place % 2 ? height : width)) : [0, 0, width, height];
  set(under, { href: `/thumbnails/640/${a}`, x: 0, y: 0, width, height });
  const degrees = beside ? 0 : Number(turn), angle = degrees * Math.PI / 180;
  if (beside) {
    const scaled = height / otherHeight * otherWidth;
    set(svg, { viewBox: `0 0 ${width * 1.01 + scaled} ${height}` });
    set(over, { href: `/thumbnails/640/${b}`, x: width * 1.01, y: 0, width: scaled, height });
    group.removeAttribute("transform");
  } else {
    set(svg, { viewBox: `0 0 ${width} ${height}` });
    // as large as lets it fill its frame once it is turned; by right angles its sides fit exactly
    const across = Math.abs(Math.cos(angle)), along = Math.abs(Math.sin(angle));
    const scale = w / (otherWidth * across + otherHeight * along);
    const [bw, bh] = degrees % 180 === 0 ? [w, h] : degrees % 90 === 0 ? [h, w] : [otherWidth * scale, otherHeight * scale];
    set(over, { href: `/thumbnails/640/${b}`, x: -bw / 2, y: -bh / 2, width: bw, height: bh });
    const flip = mirrored ? "scale(-1 1)" : "", round = `rotate(${degrees})`;
    set(group, { transform: `translate(${x + w / 2} ${y + h / 2}) ${inverse ? `${flip} ${round}` : `${round} ${flip}`}` });
  }
  over.style.mixBlendMode = way === "differ" ? "difference" : "normal";
  over.style.opacity = way === "over" ? 0.5 : 1;
  over.style.visibility = way === "flick" && !isOver ? "hidden" : "visible";
  document.getElementById("compare-words").textContent = words;
  const which = { flick: isOver === !kept ? "the one it was matched with" : "the duplicate", over: "one over the other", differ: "black: no difference", beside: kept ? "left the one it was matched with" : "right the one it was matched with" }[way];
  document.getElementById("compare-which").textContent = `${which} · pair ${at + 1} of ${members.length}`;
  for (const button of dialog.querySelectorAll("[data-way]")) button.setAttribute("aria-pressed", String(button.dataset.way === way));
};

const choose = (next) => { isOver = next === "flick" && way === "flick" ? !isOver : next === "flick"; way = next; show(at); };
const open = (member) => { way = "flick"; isOver = false; show(members.indexOf(member)); dialog.showModal(); };

for (const button of document.querySelectorAll("button.compare")) button.addEventListener("click", () => open(button.closest(".member")));
for (const button of dialog.querySelectorAll("[data-way]")) button.addEventListener("click", () => choose(button.dataset.way));
dialog.addEventListener("close", () => members[at]?.querySelector(".tile")?.focus());
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (dialog.open) {
    const wish = { " ": "flick", o: "over", d: "differ", b: "beside" }[event.key];
    const step = { ArrowLeft: -1, ArrowRight: 1, k: -1, j: 1 }[event.key];
    if (wish) choose(wish);
    else if (step) { isOver = false; show(at + step); }
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
    return;
  }
  if (event.target.closest?.("input, select, textarea") || document.querySelector("dialog[open]")) return;
  const member = event.target.closest?.(".member[data-b]");
  if (!member) {  // nothing has the focus yet: these keys begin with the first duplicate in sight
    const first = members.find((one) => one.getBoundingClientRect().top >= 0) ?? members[0];
    const isNew = !event.target.closest?.(".tile");
    if (!first || !(event.key === "c" || event.key === "r" || (isNew && ["ArrowLeft", "ArrowRight"].includes(event.key)))) return;
    if (event.key === "c") open(first);
    else first.querySelector(".tile")?.focus();  // what `r` restores is seen before it is pressed again
    event.preventDefault();
    event.stopImmediatePropagation();
    return;
  }
  if (event.key === "c") open(member);
  else if (event.key === "r") member.querySelector("form.do")?.requestSubmit();
  else return;
  event.preventDefault();
  event.stopImmediatePropagation();
}, { capture: true });
