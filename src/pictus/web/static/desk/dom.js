// Making elements and asking the server. Texts are always set as text, so that no name can become markup.

export const el = (tag, values = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((one) => one !== null && one !== undefined && one !== false));
  return made;
};

export const counted = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

// The server said no (status 400 and above), or could not be asked (status 0).
export class Refused extends Error {
  constructor(status, what, fix = "") {
    super(what);
    Object.assign(this, { status, what, fix });
  }

  get isPassing() { return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500; }
}

// What went wrong and what to do, as sentences; a fix that is a command stays as it is typed.
export const worded = ({ what, fix = "" }) => {
  if (!fix) return what;
  const isTyped = /^(pictus|pip) /.test(fix);
  return `${what} ${isTyped ? fix : `${fix[0].toUpperCase()}${fix.slice(1)}${/[.!?…]$/.test(fix) ? "" : "."}`}`;
};

// Whose page this is. Another tab may have signed in somebody else since: then the server says so, and nothing is sent
// or borrowed under the wrong name.
const mine = document.getElementById("desk")?.dataset.person;
const who = mine ? { "x-pictus-person": encodeURIComponent(mine) } : {};

const PATIENCE_MS = 20_000;  // a server that says nothing for so long counts as gone

// body undefined: GET. Writes carry the header that no other site can send.
export const call = async (path, body, { keepalive = false } = {}) => {
  const how = { headers: { accept: "application/json", ...who }, credentials: "same-origin", keepalive, signal: AbortSignal.timeout(PATIENCE_MS) };
  if (body !== undefined) Object.assign(how, { method: "POST", body: JSON.stringify(body), headers: { ...how.headers, "content-type": "application/json", "x-pictus": "desk" } });
  let answer, found;
  try {
    answer = await fetch(path, how);
    found = await answer.json();
  } catch (error) {
    if (!answer || answer.ok) throw new Refused(0, `No connection: ${error.message}`);
    throw new Refused(answer.status, `The server answered ${answer.status}.`);
  }
  if (!answer.ok) throw new Refused(answer.status, found.error?.what ?? `The server answered ${answer.status}.`, found.error?.fix ?? "");
  return found;
};

// say(text): one quiet line, read aloud, that goes away by itself; "" clears it.
export const quietLine = (line, lasting_ms) => {
  let timer = 0;
  return (text) => {
    line.textContent = "";
    clearTimeout(timer);
    requestAnimationFrame(() => { line.textContent = text; });  // emptied first: else the same words again are not read
    timer = setTimeout(() => { line.textContent = ""; }, lasting_ms);
  };
};

// The page's own question, with `yes` on its button -> Promise of true or false.
export const ask = (words, yes) => new Promise((resolve) => {
  const dialog = document.getElementById("ask");
  document.getElementById("ask-words").textContent = words;
  document.getElementById("ask-yes").textContent = yes;
  dialog.returnValue = "";
  dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  dialog.showModal();
});

// Buttons that pause somebody, after asking why, and those that let them go on. act({name, reason} or {name, resume}).
export const pauseButtons = (act, reason) => {
  const why = document.getElementById("why"), words = document.getElementById("why-text");
  for (const button of document.querySelectorAll("[data-resume]")) button.addEventListener("click", () => act({ name: button.dataset.resume, resume: true }));
  for (const button of document.querySelectorAll("[data-pause]")) button.addEventListener("click", () => {
    document.getElementById("why-title").textContent = `Pause ${button.dataset.pause}?`;
    why.dataset.name = button.dataset.pause;
    words.value = why.returnValue = "";
    why.showModal();
  });
  why?.addEventListener("close", () => { if (why.returnValue === "yes") act({ name: why.dataset.name, reason: words.value.trim() || reason }); });
};
