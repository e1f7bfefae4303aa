// Pages handed in, and choices of a quiz, that the server has not acknowledged. They lie in the browser's own storage
// from the moment of handing in, so that a lost connection, a killed server or a closed tab loses none; they are sent in
// the order in which they were handed in, and the server takes each (page, revision) once however often it comes.

import { call } from "./dom.js";

const FIRST_WAIT_MS = 1_000, LONGEST_WAIT_MS = 15_000;

export class Outbox {
  // on: {sent(item, receipt), refused(item, error), checked(item, found), signedOut(), changed()}; `checked`: a quiz
  constructor(owner, on) {
    this.prefix = `pictus-desk/${owner}/out/`;
    this.on = on;
    this.isSending = false;
    this.wait = FIRST_WAIT_MS;
    this.timer = 0;
    this.isCut = false;
    this.last = 0;
    addEventListener("online", () => this.kick());
    addEventListener("focus", () => this.kick());
    addEventListener("storage", () => this.on.changed());
  }

  // {key, page_id, revision, answers, seconds} or {key, quiz: {concept, choice}}, the oldest first; other tabs of the
  // same person included. `rests`: the concept whose quiz was answered without a connection, before this page
  items() {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(this.prefix)).sort();
    return keys.flatMap((key) => {
      try { return [{ key, ...JSON.parse(localStorage.getItem(key)) }]; } catch { return []; }  // taken by another tab
    });
  }

  pages() { return [...new Set(this.items().filter((item) => item.page_id).map((item) => item.page_id))]; }

  revision(page_id) { return Math.max(0, ...this.items().filter((item) => item.page_id === page_id).map((item) => item.revision)); }

  // Throws where the browser's storage is full: then the page stays where it is.
  put(item) {
    this.last = Math.max(Date.now(), this.last + 1);
    localStorage.setItem(this.prefix + String(this.last).padStart(16, "0"), JSON.stringify(item));
    this.on.changed();
    this.kick();
  }

  // Pages that rest on the quiz of a concept, the oldest first: they are not sent.
  takeBack(concept) {
    const found = this.items().filter((item) => item.rests === concept);
    for (const { key } of found) localStorage.removeItem(key);
    return found;
  }

  kick() {
    clearTimeout(this.timer);
    if (!this.isSending) this.#send();
  }

  async #send() {
    this.isSending = true;
    for (let item = this.items()[0]; item; item = this.items()[0]) {
      const { key, page_id, revision, answers, seconds, quiz } = item;
      try {
        const found = quiz ? await call("/desk/quiz", quiz) : await call(`/desk/pages/${page_id}`, { revision, answers, seconds });
        if (quiz) this.on.checked(item, found);  // before it goes: what rests on it must not be sent by a page loaded now
        this.#done(key);
        if (!quiz) this.on.sent(item, found);
      } catch (error) {
        if (error.status === 401) { this.on.signedOut(); break; }
        if (error.isPassing) {
          this.isCut = true;
          this.timer = setTimeout(() => this.kick(), this.wait);
          this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
          break;
        }
        this.#done(key);
        this.on.refused(item, error);
      }
    }
    this.isSending = false;
    this.on.changed();
  }

  #done(key) {
    localStorage.removeItem(key);
    this.isCut = false;
    this.wait = FIRST_WAIT_MS;
    this.on.changed();
  }
}

const FRESH_MS = 90_000, BEAT_MS = 20_000;  // browsers wake a tab in the background once a minute

// What other tabs of the same person have in hand, so that no two show one page.
export class Tabs {
  constructor(owner, own) {
    this.prefix = `pictus-desk/${owner}/tab/`;
    this.key = this.prefix + crypto.getRandomValues(new Uint32Array(2)).join("-");
    this.own = own;
    setInterval(() => this.tell(), BEAT_MS);
  }

  tell() {
    try { localStorage.setItem(this.key, JSON.stringify({ at: Date.now(), pages: this.own() })); } catch { /* full: only two tabs would notice */ }
  }

  leave() { localStorage.removeItem(this.key); }

  others() {
    const found = [];
    for (const key of Object.keys(localStorage).filter((one) => one.startsWith(this.prefix) && one !== this.key)) {
      try {
        const { at, pages } = JSON.parse(localStorage.getItem(key));
        if (Date.now() - at < FRESH_MS) found.push(...pages);
        else localStorage.removeItem(key);
      } catch { localStorage.removeItem(key); }
    }
    return found;
  }
}
