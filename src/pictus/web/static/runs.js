// A run that trains: its parts are asked for every two seconds while somebody looks. Nothing that has the focus is
// exchanged under it.

const EVERY_MS = 2000;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function follow(place) {
  let mark = place.dataset.mark;
  let kept = {}; // what waits for the focus to leave
  const shown = new Map();
  for (;;) {
    await pause(EVERY_MS);
    if (document.hidden) continue;
    let now;
    try {
      const answer = await fetch(`${place.dataset.live}?mark=${encodeURIComponent(mark)}`);
      if (!answer.ok) continue;
      now = await answer.json();
    } catch {
      continue; // the server is away: what is shown stays, and is asked for again
    }
    mark = now.mark;
    kept = { ...kept, ...now.parts };
    for (const part of place.querySelectorAll("[data-part]")) {
      const html = kept[part.dataset.part];
      if (html === undefined || part.contains(document.activeElement)) continue;
      delete kept[part.dataset.part];
      if (shown.get(part) !== html) part.innerHTML = html;
      shown.set(part, html);
    }
    if (!now.is_working && !Object.keys(kept).some((name) => place.querySelector(`[data-part="${name}"]`))) return;
  }
}

for (const place of document.querySelectorAll("[data-live]")) follow(place);
