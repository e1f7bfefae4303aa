// The owner's page: pausing, letting go on, making and revoking links.

import { call, counted, el, pauseButtons, worded } from "./dom.js";

const problem = document.getElementById("problem");
const act = async (path, body) => {
  problem.textContent = "";
  try { return await call(path, body); } catch (error) { problem.textContent = worded(error); return null; }
};
const then = async (path, body) => { if (await act(path, body)) location.reload(); };

for (const button of document.querySelectorAll("[data-reopen]")) button.addEventListener("click", () => then("/desk/people/reopen", { concept: button.dataset.reopen }));
for (const button of document.querySelectorAll("[data-revoke]")) button.addEventListener("click", () => then("/desk/people/revoke", { link: button.dataset.revoke }));

pauseButtons((body) => then("/desk/people/pause", body), "The project's owner wants to talk with you first.");

document.getElementById("invite").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { many, role, uses, quota, days, note } = event.target.elements;
  const found = await act("/desk/people/invite", { many: many.valueAsNumber, role: role.value, uses: uses.valueAsNumber, quota: quota.valueAsNumber || 0, days: days.valueAsNumber, note: note.value });
  if (!found) return;
  const text = found.links.map((link) => location.origin + link).join("\n");
  const area = el("textarea", { id: "links", rows: Math.min(12, found.links.length + 1), readonly: true });
  area.value = text;
  document.getElementById("made").replaceChildren(
    el("label", { for: "links" }, `${counted(found.links.length, "link")}, shown this once`), area,
    el("p", {}, el("button", { type: "button", onclick: async (clicked) => {
      area.select();
      try { await navigator.clipboard.writeText(text); clicked.target.textContent = "Copied"; } catch { document.execCommand("copy"); }  // without https only the old way is there
    } }, "Copy")));
  area.focus();
});
