// A rule's review: the line is moved, what it drops is counted by the server and dimmed here, and a wall of any
// length shows only the rows in sight. Places are counted from the worst picture; `beyond` of them are cut off.

const root = document.getElementById("review");
if (root) start(root);

function start(root) {
  const { rule, measure, side, concept, total: all, verb } = root.dataset;
  const total = Number(all), edges = root.dataset.edges.split(" ").map(Number);
  const slider = document.getElementById("line"), box = document.getElementById("virtual");
  const sizer = box.querySelector(".sizer"), wall = box.querySelector(".wall");
  const isUpper = side === "over";
  const query = (more) => new URLSearchParams({ ...(concept ? { concept } : {}), ...more });
  const count = (number) => number.toLocaleString("en");
  const short = (value) => (Math.abs(value) < 1000 ? String(Number(value.toPrecision(3))) : Math.round(value).toString());
  let line = Number(root.dataset.at), counts = null;

  // --- the line: one question at a time, the latest wish wins --------------------------------------
  let wish = null, asking = false;
  const ask = async (next) => {
    wish = next.by !== undefined && wish && wish.by !== undefined ? { by: wish.by + next.by } : next;
    if (asking) return;
    asking = true;
    while (wish) {
      const { by = 0, at = line, follow = true } = wish;
      wish = null;
      try {
        const answer = await fetch(`/wall/clean/${rule}/line?${query({ line: at, by })}`, { priority: "high" });
        const found = await answer.json();
        if (!answer.ok) throw new Error(found.error.what);
        take(found, follow);
      } catch (error) {
        document.getElementById("change").textContent = `: what this line does could not be asked (${error.message})`;
      }
    }
    asking = false;
  };
  const take = (found, follow) => {
    line = found.line;
    counts = found;
    document.getElementById("value").textContent = String(Number(line.toPrecision(6)));
    document.querySelector("#counts b").textContent = `${count(found.dropped)} ${verb === "flagged" ? "flagged" : "beyond the line"}`;
    const change = found.change > 0 ? `${count(found.change)} more than now` : found.change < 0 ? `${count(-found.change)} fewer than now` : "as now";
    document.getElementById("change").textContent = `, ${change}`;
    document.getElementById("others").textContent = [`of ${count(found.total)}`, found.elsewhere && `${count(found.elsewhere)} ${verb === "flagged" ? "more beyond it" : "of them"} other rules drop already`, found.restored && `${count(found.restored)} restored, which stay`].filter(Boolean).join(" · ");
    const typed = String(line);
    const given = concept ? `${concept}:${rule}=${typed}` : `${rule}=${typed}`;
    document.getElementById("shell").textContent = `--line ${given}`;
    document.getElementById("api").textContent = `"${given}"`;
    const field = document.querySelector("#accept-form input[name=line]");
    if (field) field.value = typed;
    slider.setAttribute("aria-valuetext", `${measure} ${side} ${short(line)}: ${count(found.dropped)} ${verb === "flagged" ? "flagged" : "beyond the line"}, ${change}`);
    place();
    if (follow) lookAt(found.beyond);
    mark();
  };

  // --- the histogram: a share of its width and a value, either way ---------------------------------
  const shareOf = (value) => {
    const bins = edges.length - 1;
    if (value <= edges[0]) return 0;
    for (let bin = 0; bin < bins; bin += 1) if (value <= edges[bin + 1]) return (bin + (value - edges[bin]) / (edges[bin + 1] - edges[bin])) / bins;
    return 1;
  };
  const valueAt = (share) => {
    const bins = edges.length - 1, at = Math.min(Math.max(share, 0), 1) * bins, bin = Math.min(Math.floor(at), bins - 1);
    return Number((edges[bin] + (at - bin) * (edges[bin + 1] - edges[bin])).toPrecision(5));
  };
  const place = () => {
    const share = shareOf(line), bins = edges.length - 1;
    if (document.activeElement !== slider || !dragging) slider.value = share;
    const cut = document.getElementById("cut");
    for (const end of ["x1", "x2"]) cut.setAttribute(end, share * bins);
    [...document.querySelectorAll("#bars rect")].forEach((bar, bin) => {
      const middle = (edges[bin] + edges[bin + 1]) / 2;
      bar.classList.toggle("out", isUpper ? middle > line : middle < line);
    });
  };
  let dragging = false;
  slider.addEventListener("pointerdown", () => { dragging = true; });
  slider.addEventListener("pointerup", () => { dragging = false; place(); });
  slider.addEventListener("input", () => ask({ at: valueAt(Number(slider.value)) }));

  // --- the wall: only the rows in sight are there ---------------------------------------------------
  const MOST_PX = 8e6;  // browsers lose count of far taller boxes
  const CHUNK = 120, KEEP = 30;
  const chunks = new Map();
  let base = 0, cells = { columns: 1, size: 148 }, drawn = "";
  const layout = () => {
    const style = getComputedStyle(wall), gap = parseFloat(style.columnGap) || 4;
    const columns = style.gridTemplateColumns.split(" ").length;
    const size = parseFloat(style.gridTemplateColumns) + gap;
    cells = { columns, size: Math.max(size, 24), gap };
  };
  const rowsIn = () => Math.min(Math.ceil(total / cells.columns), Math.floor(MOST_PX / cells.size));
  const rowsAll = () => Math.ceil(total / cells.columns);
  const fit = () => { layout(); sizer.style.height = `${rowsIn() * cells.size}px`; };
  const get = async (chunk) => {
    if (chunks.has(chunk)) return;
    chunks.set(chunk, null);
    try {
      const answer = await fetch(`/wall/clean/${rule}?${query({ offset: chunk * CHUNK, count: CHUNK })}`, { priority: "high" });
      if (!answer.ok) throw new Error(answer.status);
      chunks.set(chunk, (await answer.json()).pictures);
    } catch { chunks.delete(chunk); }  // asked again with the next scroll
    while (chunks.size > KEEP) chunks.delete(chunks.keys().next().value);
    drawn = "";
    draw();
  };
  const pictureAt = (index) => chunks.get(Math.floor(index / CHUNK))?.[index % CHUNK];
  const tile = (index) => {
    const found = pictureAt(index), one = document.createElement("a");
    one.className = "tile";
    one.dataset.index = index;
    if (!found) { one.tabIndex = -1; return one; }
    const [id, width, height, value, fate, by] = found;
    one.href = `/pictures/${id}`;
    one.dataset.id = id;
    one.dataset.fate = fate;
    one.title = `${measure} ${Number(value.toPrecision(6))}${fate === "elsewhere" ? `; dropped by ${by}` : ""}`;
    const image = document.createElement("img");
    image.fetchPriority = "low";  // a moved line must not wait behind the pictures
    image.src = `/thumbnails/320/${id}`;
    image.alt = `${measure} ${Number(value.toPrecision(4))}`;
    const small = Math.min(width, height);
    if (small > 0 && small < 76) { image.className = "little"; image.width = 2 * width; image.height = 2 * height; }
    const tag = document.createElement("span");
    tag.className = "tag";
    tag.textContent = fate === "restored" ? `${short(value)} restored` : fate === "elsewhere" ? `${short(value)} ${by}` : short(value);
    one.append(image, tag);
    return one;
  };
  const draw = () => {
    const first = base + Math.max(Math.floor(box.scrollTop / cells.size) - 2, 0);
    const rows = Math.ceil(box.clientHeight / cells.size) + 5;
    const from = Math.min(first, Math.max(rowsAll() - 1, 0)) * cells.columns, to = Math.min(from + rows * cells.columns, total);
    for (let chunk = Math.floor(from / CHUNK); chunk <= Math.floor((to - 1) / CHUNK); chunk += 1) get(chunk);
    const key = `${from} ${to} ${cells.columns}`;
    if (key === drawn) return;
    drawn = key;
    const focused = document.activeElement?.dataset?.index;
    wall.style.transform = `translateY(${(first - base) * cells.size}px)`;
    wall.replaceChildren(...Array.from({ length: to - from }, (_, at) => tile(from + at)));
    if (focused !== undefined) wall.querySelector(`[data-index="${focused}"]`)?.focus({ preventScroll: true });
    mark();
  };
  const mark = () => {
    if (!counts) return;
    const cut = counts.beyond;
    for (const one of wall.children) {
      const index = Number(one.dataset.index);
      one.classList.toggle("dropped", (index < cut && verb === "dropped" && one.dataset.fate !== "restored") || one.dataset.fate === "elsewhere");
      one.classList.toggle("beyond", index < cut);
      one.classList.toggle("edge-of-line", index === cut);
    }
  };
  const rebase = (row) => {  // a box can only be so tall: move what it holds, not what is seen
    const most = rowsIn();
    base = Math.min(Math.max(row - Math.floor(most / 2), 0), rowsAll() - most);
  };
  const lookAt = (index, block = "centre") => {
    const row = Math.floor(Math.min(index, total - 1) / cells.columns);
    if (row < base || row >= base + rowsIn()) rebase(row);
    const top = (row - base) * cells.size, seen = box.clientHeight;
    if (block === "centre" ? top < box.scrollTop + cells.size * 0.5 || top > box.scrollTop + seen - 1.5 * cells.size : false) box.scrollTop = top - seen / 2 + cells.size / 2;
    if (block === "near") { if (top < box.scrollTop) box.scrollTop = top; else if (top + cells.size > box.scrollTop + seen) box.scrollTop = top + cells.size - seen; }
    draw();
  };
  box.addEventListener("scroll", () => {
    const row = base + Math.floor(box.scrollTop / cells.size), most = rowsIn();
    if (rowsAll() > most && ((row - base < 50 && base > 0) || (row - base > most - 100 && base + most < rowsAll()))) {
      const rest = box.scrollTop % cells.size;
      rebase(row);
      box.scrollTop = (row - base) * cells.size + rest;
    }
    draw();
  }, { passive: true });
  new ResizeObserver(() => { fit(); drawn = ""; draw(); }).observe(box);

  // --- by keyboard ----------------------------------------------------------------------------------
  const MOST_PREVIEWED = 2e5;  // above, all rules together take longer than a person waits in a dialog
  const percent = Math.max(Math.round(total / 100), 1);
  const inwards = isUpper ? -1 : 1;  // on the scale, to the right: more pictures under a line, fewer over it
  const goTo = (index) => {
    index = Math.min(Math.max(index, 0), total - 1);
    lookAt(index, "near");
    const focus = () => wall.querySelector(`[data-index="${index}"]`)?.focus({ preventScroll: true });
    focus();
    return focus;
  };
  const accept = () => {
    const form = document.getElementById("accept-form");
    if (!form || !counts) return;
    const many = (number) => `${count(number)} ${number === 1 ? "picture" : "pictures"}`;
    const words = [`${rule} ${verb === "flagged" ? "flags" : "drops"} what has a ${measure} ${side} ${short(line)}: ${many(counts.dropped)} of ${count(total)}.`, verb === "flagged" ? "They are kept." : "", verb === "dropped" && counts.newly ? `${many(counts.newly)} that ${counts.newly === 1 ? "is" : "are"} kept now will be dropped.` : "", verb === "dropped" && counts.back ? `${many(counts.back)} that it drops now ${counts.back === 1 ? "comes" : "come"} back, unless another rule drops ${counts.back === 1 ? "it" : "them"}.` : ""];
    document.getElementById("sure-does").textContent = words.filter(Boolean).join(" ");
    const exactly = document.getElementById("sure-exactly");
    exactly.textContent = total > MOST_PREVIEWED ? `What all rules together would change: pictus clean preview --line ${document.querySelector("#accept-form [name=concept]").value ? `${concept}:` : ""}${rule}=${line}` : "Counting what all rules together would change …";
    if (total <= MOST_PREVIEWED) fetch(`/wall/clean/${rule}/preview?${query({ line })}`).then(async (answer) => {
      const found = await answer.json();
      if (!answer.ok) throw new Error(found.error.what);
      exactly.textContent = `All rules together: ${many(found.newly_dropped)} more dropped, ${count(found.back)} back.`;
    }).catch((error) => { exactly.textContent = `What all rules together would change could not be counted (${error.message}).`; });
    document.getElementById("sure").showModal();
    document.getElementById("yes").focus();
  };
  const restore = async (one) => {
    if (root.dataset.open || !one?.dataset.id || one.dataset.fate === "restored" || one.dataset.fate === "kept") return;
    const answer = await fetch("/clean/restore", { method: "POST", redirect: "manual", body: new URLSearchParams({ image: one.dataset.id, back: `/clean/${rule}` }) });
    if (answer.type !== "opaqueredirect" && !answer.ok) { document.getElementById("change").textContent = ": the picture could not be restored"; return; }
    const found = pictureAt(Number(one.dataset.index));
    if (found) found[4] = "restored";
    drawn = "";
    draw();
    ask({ by: 0, follow: false });
  };
  document.getElementById("accept-form")?.addEventListener("submit", (event) => { event.preventDefault(); accept(); });
  document.getElementById("yes").addEventListener("click", () => document.getElementById("accept-form").submit());
  document.getElementById("no").addEventListener("click", () => document.getElementById("sure").close());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const onLine = event.target === slider, typing = !onLine && event.target.closest("input, select, textarea, button");
    if (typing) return;
    const at = event.target.dataset?.index === undefined ? -1 : Number(event.target.dataset.index);
    const many = event.shiftKey ? percent : 1;
    const steps = { ArrowLeft: -1, h: -1, ArrowRight: 1, l: 1, ArrowUp: -cells.columns, k: -cells.columns, ArrowDown: cells.columns, j: cells.columns };
    let done = true;
    if (onLine && ["ArrowRight", "ArrowUp"].includes(event.key)) ask({ by: many * inwards });
    else if (onLine && ["ArrowLeft", "ArrowDown"].includes(event.key)) ask({ by: -many * inwards });
    else if (onLine && event.key === "PageUp") ask({ by: percent * inwards });
    else if (onLine && event.key === "PageDown") ask({ by: -percent * inwards });
    else if (onLine && event.key === "Home") ask({ by: -total });
    else if (onLine && event.key === "End") ask({ by: total });
    else if (["]", "}"].includes(event.key)) ask({ by: (event.key === "}" ? percent : 1) * inwards });
    else if (["[", "{"].includes(event.key)) ask({ by: -(event.key === "{" ? percent : 1) * inwards });
    else if (onLine && event.key === "?") document.getElementById("help").showModal();
    else if (event.key === "a" || (onLine && event.key === "Enter")) accept();
    else if (event.key === "u") ask({ at: Number(root.dataset.now) });
    else if (event.key === "m" && at >= 0) ask({ by: at - counts.beyond, follow: false });
    else if (event.key === "r" && at >= 0) restore(event.target);
    else if (event.key in steps && (at >= 0 || event.key.length === 1)) goTo(at < 0 ? counts?.beyond ?? 0 : at + steps[event.key]);
    else done = false;
    if (done) { event.preventDefault(); event.stopImmediatePropagation(); }
  }, { capture: true });

  root.classList.add("live");
  fit();
  ask({ at: line, follow: false }).then(() => { const first = counts?.beyond ?? 0; box.scrollTop = Math.max(Math.floor(first / cells.columns) * cells.size - box.clientHeight / 2 + cells.size / 2, 0); lookAt(first); });
}
