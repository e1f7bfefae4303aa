// Behaviour of the pages: the wall loads as it is scrolled and is walked by keyboard. No framework, no build.

document.documentElement.classList.add("scripted");

// --- walls that grow -------------------------------------------------------------------------
for (const wall of document.querySelectorAll(".wall[data-total]")) {
  const total = Number(wall.dataset.total);
  const more = wall.nextElementSibling?.classList.contains("more") ? wall.nextElementSibling : null;
  let shown = Number(wall.dataset.shown);
  let busy = false;
  const load = async () => {
    if (busy || shown >= total) return;
    busy = true;
    try {
      const answer = await fetch(`/wall?${wall.dataset.query}&offset=${shown}`);
      if (!answer.ok) throw new Error(`${answer.status}`);
      const page = await answer.json();
      wall.insertAdjacentHTML("beforeend", page.html);
      shown += page.count;
      if (more) more.textContent = shown < total ? `${shown.toLocaleString("en")} of ${total.toLocaleString("en")}` : "";
      if (!page.count) shown = total;
    } catch (error) {
      if (more) more.textContent = `The next pictures could not be loaded (${error.message}); scroll to try again.`;
    }
    busy = false;
  };
  if (more) {
    new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && load(), { rootMargin: "1200px" }).observe(more);
    window.addEventListener("scroll", () => more.getBoundingClientRect().top < innerHeight + 1200 && load(), { passive: true });
  }
}

// --- keyboard --------------------------------------------------------------------------------
const tiles = () => [...document.querySelectorAll("main .tile")];
const columns = (list) => {
  const top = list[0]?.offsetTop;
  const count = list.findIndex((tile) => tile.offsetTop !== top);
  return count < 1 ? list.length : count;
};
const move = (key) => {
  const list = tiles();
  if (!list.length) return false;
  const at = list.indexOf(document.activeElement);
  if (at < 0) { list[0].focus(); return true; }
  const wall = list.filter((tile) => tile.parentElement === list[at].parentElement);
  const step = { ArrowLeft: -1, h: -1, ArrowRight: 1, l: 1, ArrowUp: -columns(wall), k: -columns(wall), ArrowDown: columns(wall), j: columns(wall) }[key];
  list[Math.min(Math.max(at + step, 0), list.length - 1)].focus();
  return true;
};
const help = document.getElementById("help");
document.getElementById("help-button").addEventListener("click", () => help.showModal());
const pages = { c: "/concepts", p: "/pictures", l: "/clean", d: "/clean/duplicates", v: "/coverage", r: "/releases", t: "/runs", s: "/search" };
let going = false;
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const moves = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "h", "j", "k", "l"];
  if (going) {
    going = false;
    if (pages[event.key]) location.href = pages[event.key];
    return;
  }
  if (event.key === "?") help.showModal();
  else if (event.key === "g") going = true;
  else if (event.key === "/") { document.querySelector("input[type=search]")?.focus(); event.preventDefault(); }
  else if (event.key === "s" && document.activeElement?.dataset.id) location.href = `/search?like=${document.activeElement.dataset.id}`;
  else if (event.key === "Escape" && !document.querySelector("dialog[open]") && history.length > 1 && /^\/(pictures|concepts)\/./.test(location.pathname)) history.back();
  else if (moves.includes(event.key) && (event.key.length === 1 || document.activeElement?.classList.contains("tile"))) { if (move(event.key)) event.preventDefault(); }
});

// --- commands break between words, never within an option ----------------------------------------------------
for (const code of document.querySelectorAll("code")) {
  for (const node of [...code.childNodes]) {
    if (node.nodeType !== Node.TEXT_NODE || !node.data.includes("-")) continue;
    node.replaceWith(...node.data.split(/(\s+)/).map((word) => {
      if (!word.includes("-") || word.length > 28) return word;
      const whole = document.createElement("span");
      whole.className = "word";
      whole.textContent = word;
      return whole;
    }));
  }
}

// --- filters apply as they are chosen, a dropped or pasted picture searches --------------------------------
for (const choice of document.querySelectorAll(".filters select, .filters input[type=checkbox]")) choice.addEventListener("change", () => choice.form.requestSubmit());
for (const form of document.querySelectorAll(".filters")) form.addEventListener("submit", () => { for (const field of form.elements) if (!field.value || (field.name === "sort" && field.value === "added")) field.disabled = true; });
const drop = document.getElementById("drop");
if (drop) {
  const file = drop.querySelector("input[type=file]");
  const send = () => {
    if (!file.files.length) return;
    const most = Number(drop.dataset.most);
    if (file.files[0].size > most) {
      document.getElementById("problem").textContent = `The picture is larger than ${most / 1e6} MB: send a smaller one.`;
      file.value = "";
    } else drop.requestSubmit();
  };
  const take = (files) => { if (files.length) { file.files = files; send(); } };
  file.addEventListener("change", send);
  document.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  document.addEventListener("dragleave", (event) => event.relatedTarget || drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => {
    if (!event.clipboardData.files.length) return;
    event.preventDefault();
    take(event.clipboardData.files);
  });
}
