// The desk's shell: it borrows pages of questions, shows each through the script of its kind, keeps what is handed in
// until the server has it (outbox.js), borrows ahead, and takes a page up again on undo.
//
// A kind's script calls once
//   registerKind("grid", {
//     question(page) -> text,         // the heading; without it the concept's name
//     keys: [["Space", "mark"], …],   // for the list that ? opens; keys of one row are separated by spaces
//     asksWhatCannotBe: true,         // offers "cannot be pictured"
//     pictures: 150,                  // about how large it shows them, in CSS px: they are fetched ahead so
//     show(page, root, hands) -> view // draws into `root`
//   });
// view: submit()            Enter or the button: collects the answers and calls hands.submit(answers). A view without
//                           it has its own bar and keys, and the shell's bar is not shown
//       key(event) -> bool  true for a key it took; asked before the shell's own keys. Optional
//       leave()             the page goes off the screen. Optional
// hands: submit([{position, answer, data}])  hands in and shows the next page at once
//        giveBack()           another page instead of this one
//        undo()               the page handed in last, to change it
//        draft(value), drafted   plain JSON that survives a closed tab, and what was kept so or null
//        picture(position, side) -> address; side(px) -> the least size that fills so many CSS px
//        tools                an empty element in the bar at the bottom, for the kind's own buttons
//        tally(text)          how far this page is, beside the button that hands it in
//        say(text)            one quiet line, read aloud; ask(words, yes) -> Promise of true or false
//        unpicturable()       the concept cannot be pictured: asks, then says so to the server

import { ask, call, counted, el, quietLine, Refused } from "./dom.js";
import { conceptHead, examples } from "./concept.js";
import { Outbox, Tabs } from "./outbox.js";

const AHEAD = 2, KEPT_DONE = 30, LOOK_AGAIN_MS = 20_000, SAID_MS = 5_000;
const byId = (id) => document.getElementById(id);
const main = byId("desk"), head = byId("concept"), root = byId("work"), bar = byId("bar"), tools = byId("tools");
const { person, project, kind: onlyKind, concept: onlyConcept } = main.dataset;
const modules = JSON.parse(main.dataset.modules);
const owner = `${project}/${person}`;

const kinds = new Map();
export const registerKind = (name, kind) => kinds.set(name, kind);

const state = {
  now: null,        // {page, quiz, since, hidden} on the screen
  view: null,
  ahead: [],        // borrowed, not yet shown
  done: [],         // handed in, the latest last: {id}, and {page} for those of this session
  isFilling: false,
  isDry: false,     // the server had no further page
  why: "", paused: "",
  elsewhere: [],    // pages of this person's that another window or an earlier visit took: {kind, concept, title, name}
  progress: null, sentMore: 0,
  timer: 0,
};

// --- saved or waiting ---------------------------------------------------------------------------
let isSignedOut = false, lastTold = "";
const tellSaved = () => {
  const waiting = outbox.pages().length, line = byId("saved");
  const shown = isSignedOut ? `${person} is signed out; what was handed in is kept here`
    : !waiting ? (state.done.length ? "Saved" : "")
      : outbox.isCut ? `${counted(waiting, "page waits", "pages wait")} for the connection` : "Saving…";
  if (shown === lastTold) return;
  lastTold = shown;
  line.replaceChildren(shown, ...(isSignedOut ? [" · ", el("a", { href: "/" }, "Come in")] : []));
  line.classList.toggle("waits", isSignedOut || (waiting > 0 && outbox.isCut));
};
const outbox = new Outbox(owner, {
  changed: () => tellSaved(),
  signedOut: () => { isSignedOut = true; tellSaved(); },
  refused: (item, error) => {
    if (item.quiz) missed(item.quiz.concept, null);
    say(item.quiz ? error.what : `A page was not taken: ${error.what}`);
  },
  checked: ({ quiz: { concept } }, found) => (found.passed ? passed(concept) : missed(concept, found.quiz)),
  sent: (item, receipt) => {
    isSignedOut = false;
    tellSaved();
    tellProgress(receipt.progress);
    if (receipt.note) say(receipt.note);
    if (receipt.paused) paused(receipt.paused);
    else if (state.isDry) { state.isDry = false; fill(); }
  },
});

const say = quietLine(byId("said"), SAID_MS);

const minutes = (seconds) => seconds < 90 ? counted(Math.max(1, Math.round(seconds)), "second") : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
const tellProgress = (progress) => {
  state.progress = progress;
  const { pages, questions, seconds, left, left_s } = progress;
  const words = [];
  if (pages) words.push(counted(pages, "page"), counted(questions, "picture"), minutes(seconds));
  const about = left_s && questions > 20 ? `about ${minutes(left_s)}` : "";
  if (left >= 0) words.push(`${left.toLocaleString("en")} left of your share${about && `, ${about}`}`);
  if (progress.skill) {
    const [share, low, high] = progress.skill.map((one) => Math.round(100 * one));
    words.push(`${share} % right on known pictures (${low}–${high})`);
  }
  byId("progress").textContent = words.join(" · ");
};

// --- borrowing ----------------------------------------------------------------------------------
const kindOf = async (name) => {
  if (!kinds.has(name)) await import(`./${modules[name] ?? name}.js`);
  return kinds.get(name);
};
const pictureOf = (page) => (position, side) => `/desk/pages/${page.page_id}/pictures/${position}/${side}`;
const side = (px) => [160, 320, 640].find((one) => one >= px * Math.min(devicePixelRatio, 2) * 0.9) ?? 640;

// The pictures of a page that is not shown yet are fetched as the wall will want them.
const preload = (page) => {
  const size = side(kinds.get(page.kind).pictures ?? 150);
  return [...examples(page.concept, side), ...page.items.map((item) => pictureOf(page)(item.position, size))].map((address) => Object.assign(new Image(), { src: address }));
};

const own = () => [state.now, ...state.ahead].filter(Boolean).map((one) => one.page.page_id);
const tabs = new Tabs(owner, own);
const left = [];  // pages that somebody wanted another one for: the server lends such a page again, but not now
const held = () => [...new Set([...own(), ...outbox.pages(), ...tabs.others(), ...left.slice(-16)])].slice(0, 64);
const fill = async () => {
  if (state.isFilling || state.isDry || state.paused || isSignedOut) return;
  state.isFilling = true;
  clearTimeout(state.timer);
  try {
    while (!state.isDry && state.ahead.length < (state.now ? AHEAD : 1)) {
      const found = await call("/desk/next", { kind: onlyKind, concept: onlyConcept, except: held() });
      if (found.paused) { paused(found.paused); break; }
      if (!found.page) { state.isDry = true; state.why = found.why; state.elsewhere = found.held ?? []; break; }
      await kindOf(found.page.kind);
      if (held().includes(found.page.page_id)) { state.isDry = true; break; }
      state.ahead.push({ page: found.page, quiz: found.quiz, images: preload(found.page) });
      tabs.tell();
      if (!state.now) advance();
    }
    if (!state.now && state.isDry) nothing();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status === 401) { isSignedOut = true; tellSaved(); }
    if (!state.now) unreached(error);
    else if (!error.isPassing) say(error.what);
  }
  state.isFilling = false;
  if (!state.now || state.isDry || state.ahead.length < AHEAD) state.timer = setTimeout(() => { state.isDry = false; fill(); }, LOOK_AGAIN_MS);
};
addEventListener("online", () => { state.isDry = false; fill(); });
addEventListener("focus", () => { if (isSignedOut) { isSignedOut = false; fill(); } });

// --- one page on the screen ------------------------------------------------------------------
const clear = () => {
  say("");
  state.view?.leave?.();
  state.view = null;
  root.replaceChildren();
  tools.replaceChildren();
  byId("tally").textContent = "";
  bar.hidden = true;
  head.replaceChildren();
};

const draftKey = (page) => `pictus-desk/${owner}/draft/${page.page_id}/${page.revision}`;
const drafted = (page) => { try { return JSON.parse(localStorage.getItem(draftKey(page))); } catch { return null; } };
const keep = (page, value) => { try { localStorage.setItem(draftKey(page), JSON.stringify(value)); } catch { /* full: only a draft */ } };
const forgetDrafts = (page_id) => {
  for (const key of Object.keys(localStorage)) if (key.startsWith(`pictus-desk/${owner}/draft/${page_id}/`)) localStorage.removeItem(key);
};

const show = (entry) => {
  clear();
  state.now = entry;
  entry.spent ??= 0;
  entry.since = performance.now();
  const { page } = entry, kind = kinds.get(page.kind);
  main.dataset.shown = page.kind;
  if (entry.quiz) return void quiz(entry);
  conceptHead(head, page, kind.question?.(page) ?? page.concept.name, { side, unpicturable: kind.asksWhatCannotBe ? () => unpicturable(entry) : null });
  byId("undo").disabled = !state.done.length;
  listKeys(kind.keys ?? []);
  state.view = kind.show(page, root, handsOf(entry));
  bar.hidden = !state.view.submit;
  if (page.revision || page.given.length) say("Taken up again: change what you like, then hand it in once more.");
  scrollTo(0, 0);
  tabs.tell();
};

const handsOf = (entry) => {
  const { page } = entry;
  return {
    page, person, tools, side, say, ask, picture: pictureOf(page), drafted: drafted(page),
    draft: (value) => entry.isGone || keep(page, value),  // a script may keep once more as it leaves
    tally: (text) => { byId("tally").textContent = text; },
    submit: (answers) => submit(entry, answers),
    giveBack: () => giveBack(entry), undo, unpicturable: () => unpicturable(entry),
  };
};

const advance = () => {
  const next = state.ahead.shift();
  if (next) show(next);
  else {
    clear();
    state.now = null;
    if (state.paused) paused(state.paused);
    else if (state.isDry) nothing();
    else root.replaceChildren(el("p", { class: "dim waiting" }, "Next page…"));
  }
  fill();
};

const spent = (entry) => entry.spent + (document.hidden ? 0 : performance.now() - entry.since);
document.addEventListener("visibilitychange", () => {
  const entry = state.now;
  if (!entry) return;
  if (document.hidden) entry.spent += performance.now() - entry.since;
  else entry.since = performance.now();
});

const submit = (entry, answers) => {
  if (entry !== state.now) return;
  const { page } = entry, revision = Math.max(page.revision, outbox.revision(page.page_id)) + 1;
  try {
    outbox.put({ page_id: page.page_id, revision, answers, seconds: Math.round(spent(entry)) / 1000, ...(entry.rests ? { rests: page.concept.concept_id } : {}) });
  } catch {
    say("This browser's storage is full. Nothing is lost: wait until the pages that were handed in are sent.");
    return;
  }
  entry.isGone = true;
  forgetDrafts(page.page_id);
  state.done = [...state.done.filter((one) => one.id !== page.page_id), { id: page.page_id, page: { ...page, revision, given: answers }, rests: entry.rests }].slice(-KEPT_DONE);
  tellSaved();
  advance();
};

const giveBack = async (entry) => {
  if (entry !== state.now || entry.page.revision) return;
  entry.isGone = true;
  forgetDrafts(entry.page.page_id);
  left.push(entry.page.page_id);
  state.isDry = false;
  advance();
  try { await call(`/desk/pages/${entry.page.page_id}/release`, {}); } catch (error) { if (!error.isPassing) say(error.what); }  // else it comes back by itself
};

// The last page handed in comes up again; the one on the screen stays borrowed and waits behind it.
const undo = async () => {
  const last = state.done.pop();
  if (!last) return say("There is no page to take up again.");
  let { page } = last;
  if (!page) {
    try { ({ page } = await call(`/desk/pages/${last.id}`)); } catch (error) { return say(error.what); }
    await kindOf(page.kind);
  }
  if (state.now) {
    state.now.spent = spent(state.now);
    state.ahead.unshift(state.now);
  }
  show({ page, rests: last.rests });
};

const unpicturable = async (entry) => {
  const { concept } = entry.page;
  if (!(await ask(`Say that “${concept.name}” cannot be pictured? Its pages go away from your desk, and the project's owner is told.`, "It cannot be pictured"))) return;
  try { await call("/desk/unpicturable", { concept: concept.concept_id }); } catch (error) { return say(error.what); }
  const gone = [entry, ...state.ahead].filter((one) => one.page.concept.concept_id === concept.concept_id);
  state.ahead = state.ahead.filter((one) => !gone.includes(one));
  state.isDry = false;
  forgetDrafts(entry.page.page_id);
  advance();
  for (const one of gone) call(`/desk/pages/${one.page.page_id}/release`, {}).catch(() => {});  // else they run out
};

// --- other screens ---------------------------------------------------------------------------------
const screen = (title, ...parts) => {
  clear();
  delete main.dataset.shown;
  root.replaceChildren(el("div", { class: "screen" }, el("h1", {}, title), ...parts));
};
const nothing = () => {
  const unsent = outbox.pages().length;
  if (unsent && outbox.isCut) return screen("No connection", el("p", {}, `${counted(unsent, "page waits", "pages wait")} in this browser and ${unsent === 1 ? "is" : "are"} sent as soon as the server can be reached; then the next one comes by itself.`));
  screen("Nothing to do just now", el("p", {}, state.why || "Every question has been answered."),
    state.elsewhere.length ? el("ul", { class: "waits-list" }, state.elsewhere.map((one) => el("li", {}, el("a", { href: `/desk?kind=${encodeURIComponent(one.kind)}&concept=${encodeURIComponent(one.concept)}` }, `${one.title} ${one.name}`), " ", el("span", { class: "dim" }, "in your hands")))) : null,
    el("p", { class: "dim" }, "This page looks again by itself: new questions come when pictures are added, and pages that others leave come back."),
    el("p", { class: "decide" }, el("a", { class: "button", href: "/" }, "What else waits"), state.done.length ? el("button", { type: "button", class: "quiet", onclick: () => undo(), "aria-keyshortcuts": "u" }, "Take up the last page again ", el("kbd", {}, "u")) : null));
};
const unreached = (error) => {
  if (error.status === 401) return screen("You are signed out", el("p", {}, "Open the link you were given, or ask for a new one."), el("p", {}, el("a", { href: "/" }, "To the entrance")));
  screen(error.isPassing ? "No connection" : "That does not work", el("p", {}, error.isPassing ? "The next page comes by itself as soon as the server can be reached." : error.what), error.fix && !error.isPassing ? el("p", { class: "dim" }, error.fix) : null);
};
const paused = (why) => {
  lookForLeave();
  if (state.paused === why && byId("appeal-why")) return;  // somebody may be writing
  state.paused = why;
  for (const one of [state.now, ...state.ahead].filter(Boolean)) if (!one.page.revision) call(`/desk/pages/${one.page.page_id}/release`, {}).catch(() => {});  // else they run out
  state.ahead = [];
  const words = el("textarea", { id: "appeal", rows: 4, maxlength: 2000, "aria-describedby": "appeal-why" });
  const send = async (event) => {
    event.preventDefault();
    try {
      await call("/desk/appeal", { text: words.value });
      event.target.replaceWith(el("p", { role: "status" }, "Sent. The project's owner reads it and decides; this page goes on by itself when you are let go on."));
    } catch (error) { say(error.what); }
  };
  screen("Your work is paused", el("p", { id: "appeal-why" }, why),
    el("form", { class: "appeal", onsubmit: send }, el("label", { for: "appeal" }, "Is that a mistake? Say why, and the project's owner looks again."), words, el("button", {}, "Send")));
  state.now = null;
};
// Who is let go on sees it without asking.
let leaveTimer = 0;
const lookForLeave = () => { clearTimeout(leaveTimer); leaveTimer = setTimeout(goOnIfMay, LOOK_AGAIN_MS); };
const goOnIfMay = async () => {
  if (!state.paused) return;
  lookForLeave();
  let found;
  try { found = await call("/desk/progress"); } catch { return; }  // looked for again
  if (found.person.state === "paused" || !state.paused) return;
  clearTimeout(leaveTimer);
  Object.assign(state, { paused: "", isDry: false });
  if (!state.now) advance();
  else fill();
  say("You can go on.");
};
addEventListener("focus", goOnIfMay);

const MISSED = "Not that one. What is meant stands above now: read it, then choose again.";
const quiz = (entry, wrong = "") => {
  const { page, quiz: asked } = entry;
  bar.hidden = true;
  // the gloss stands above only once it was missed: else the answer would be read off
  conceptHead(head, wrong ? page : { ...page, concept: { ...page.concept, gloss: "", links: [] }, reason: "" }, page.concept.name, { side });
  const choose = async (choice) => {
    if (entry.isChecking) return;
    entry.isChecking = true;
    try {
      const found = await call("/desk/quiz", { concept: page.concept.concept_id, choice });
      if (state.now !== entry) return;
      if (found.passed) { passed(page.concept.concept_id); say("Right."); }
      else { entry.quiz = found.quiz; quiz(entry, MISSED); }
    } catch (error) {
      if (state.now !== entry) return;
      if (error.isPassing) chooseUnchecked(entry, choice);
      else say(error.what);
    } finally { entry.isChecking = false; }
  };
  root.replaceChildren(el("div", { class: "screen quiz" },
    el("h2", {}, asked.question),
    wrong ? el("p", { class: "problem", role: "alert" }, wrong) : null,
    el("ol", {}, asked.choices.map((text, place) => el("li", {}, el("button", { type: "button", class: "choice", onclick: () => choose(place) }, el("kbd", {}, String(place + 1)), el("span", {}, text)))))));
  root.querySelector("button")?.focus({ preventScroll: true });
  state.view = { submit() {}, key: (event) => {
    const place = Number(event.key) - 1;
    if (!(place >= 0 && place < asked.choices.length)) return false;
    choose(place);
    return true;
  } };
};

// Without a connection the choice waits like a page: nobody but the server knows which is right. Pages that are
// answered meanwhile are sent after it, and only if it was.
const inHand = (concept) => [state.now, ...state.ahead].filter((one) => one?.page.concept.concept_id === concept);
const chooseUnchecked = (entry, choice) => {
  const concept = entry.page.concept.concept_id;
  try { outbox.put({ quiz: { concept, choice } }); } catch { return say("No connection just now, and this browser's storage is full: try again in a moment."); }
  for (const one of inHand(concept)) if (one.quiz) Object.assign(one, { rests: one.quiz, quiz: null });
  show(entry);
  say("No connection just now: your choice is checked when there is one again.");
};
const passed = (concept) => {
  const wasAsked = state.now?.quiz;
  for (const one of [...inHand(concept), ...state.done.filter(({ page }) => page?.concept.concept_id === concept)]) Object.assign(one, { rests: null, quiz: null });
  if (wasAsked && !state.now.quiz) show(state.now);
};
// What was answered upon a wrong choice comes again with its quiz, the page on the screen after it.
const missed = (concept, asked) => {
  const taken = outbox.takeBack(concept), first = new Map(taken.toReversed().map((item) => [item.page_id, item.revision]));
  const again = state.done.filter(({ id, page, rests }) => first.has(id) && page && rests);
  state.done = state.done.filter((one) => !first.has(one.id));
  const isShown = Boolean(state.now?.rests) && inHand(concept).includes(state.now);
  for (const one of inHand(concept)) if (one.rests) Object.assign(one, { quiz: asked ?? one.rests, rests: null });
  const back = again.map(({ id, page, rests }) => ({ page: { ...page, revision: first.get(id) - 1 }, quiz: asked ?? rests }));
  state.isDry = false;
  if (isShown || (!state.now && back.length)) {
    if (state.now) state.now.spent = spent(state.now);
    state.ahead.unshift(...back, ...(state.now ? [state.now] : []));
    advance();
    quiz(state.now, MISSED);
  } else {
    state.ahead.unshift(...back);
    if (taken.length) say("Your choice without a connection was not the right one: its pages come again.");
    fill();
  }
};

// --- keys ----------------------------------------------------------------------------------------
const help = byId("help");
const listKeys = (own) => {
  const rows = [...own, ["Enter", "hand in and go on to the next page"], ["u", "take up the last page again"], ["s", "another page instead of this one"], ["?", "this list"]];
  byId("keys").replaceChildren(...rows.flatMap(([keys, words]) => [el("dt", {}, keys.split(" ").flatMap((key) => [el("kbd", {}, key), " "])), el("dd", {}, words)]));
};
listKeys([]);
byId("help-button").addEventListener("click", () => help.showModal());
byId("undo").addEventListener("click", () => undo());
byId("submit").addEventListener("click", () => state.view?.submit?.());

document.addEventListener("keydown", (event) => {
  if (help.open || byId("ask").open || event.target.closest("textarea, select, input:not([type=radio], [type=checkbox])")) return;
  if (state.view?.key?.(event)) return void event.preventDefault();
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const isOnControl = event.target.closest("a, button:not([role=checkbox]), summary");
  if (event.key === "?") help.showModal();
  else if (event.key === "Enter" && !isOnControl && state.view?.submit && !event.repeat) state.view.submit();
  else if (event.key === "u") undo();
  else if (event.key === "s" && state.now) giveBack(state.now);
  else return;
  event.preventDefault();
});

// Leaving: what was borrowed ahead goes back at once; the page on the screen stays ours until its time is up, so that
// a closed tab finds it again.
addEventListener("pagehide", () => {
  for (const { page } of state.ahead) if (!page.revision) call(`/desk/pages/${page.page_id}/release`, {}, { keepalive: true }).catch(() => {});  // else they run out
  state.ahead = [];
  tabs.leave();
});
addEventListener("pageshow", (event) => { if (event.persisted) fill(); });

// --- beginning ------------------------------------------------------------------------------------
const begin = async () => {
  tellSaved();
  outbox.kick();
  await Promise.all([
    fill(),
    call("/desk/progress").then((found) => tellProgress(found.progress), () => {}),  // it comes with the next receipt
    call("/desk/done").then((found) => { state.done = [...found.pages.map((one) => ({ id: one.page_id })).reverse(), ...state.done].slice(-KEPT_DONE); byId("undo").disabled = !state.done.length; tellSaved(); }, () => {}),  // undo then reaches only this session's
  ]);
};
begin();
