// Coming in by a link and a name, signing out.

import { call } from "./dom.js";

const join = document.getElementById("join");
join?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const problem = document.getElementById("join-problem");
  problem.textContent = "";
  try {
    const found = await call("/desk/join", { token: join.dataset.token, name: join.elements.name.value });
    location.replace(found.to);
  } catch (error) {
    problem.textContent = [error.what, error.fix].filter(Boolean).join(" ");
    join.elements.name.focus();
  }
});

// A cookie that is never sent along from another site is missing when a link in a letter leads here: look again
// from the inside.
if (!join && !document.getElementById("leave")) call("/desk/progress").then(() => location.replace("/"), () => {});  // really signed out

document.getElementById("leave")?.addEventListener("click", async () => {
  try { location.replace((await call("/desk/leave", {})).to); } catch (error) { alert(error.what); }
});
