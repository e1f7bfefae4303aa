// Coming in by a link and a name, signing out.

import { call, counted, worded } from "./dom.js";

const join = document.getElementById("join");
join?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const problem = document.getElementById("join-problem");
  problem.textContent = "";
  const { link, name } = join.elements;  // no name at a link that is for one person
  const pasted = link?.value.trim().split("/").at(-1) ?? "";  // a whole link, or only its end
  try {
    const found = await call("/desk/join", { token: join.dataset.token || pasted, name: name?.value ?? "" });
    location.replace(found.to);
  } catch (error) {
    problem.textContent = worded(error);
    name?.focus();
  }
});

// A cookie that is never sent along from another site is missing when a link in a letter leads here: look again
// from the inside.
if (!document.getElementById("leave") && !join?.dataset.token) call("/desk/here").then((found) => found.name && location.replace("/"), () => {});  // no connection: the form says so

// What waits in this browser to be sent: of the person who is signed in, or of others who were.
const waiting = new Map();
for (const key of Object.keys(localStorage)) {
  const found = key.match(/^pictus-desk\/(.*)\/out\/\d+$/);
  if (found) waiting.set(found[1], (waiting.get(found[1]) ?? 0) + 1);
}
const line = document.getElementById("kept"), { owner, project } = line?.dataset ?? {};
const others = [...waiting].filter(([name]) => name.startsWith(`${project}/`));
if (line && others.length) line.textContent = others.map(([name, number]) => `${counted(number, "page", "pages")} of ${name.slice(project.length + 1)} ${number === 1 ? "waits" : "wait"} in this browser${name === owner ? ": open the pictures to send them." : ", until they come in again."}`).join(" ");

document.getElementById("leave")?.addEventListener("click", async () => {
  const number = waiting.get(owner) ?? 0;
  if (number && !confirm(`${counted(number, "page is", "pages are")} not sent yet. They stay in this browser until you come in again. Sign out?`)) return;
  try { location.replace((await call("/desk/leave", {})).to); } catch (error) { alert(error.what); }
});
