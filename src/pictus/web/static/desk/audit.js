// The audit: an expert's independent look at pictures, each with one of four answers; a page is about one concept, or
// each picture has its own beside it.

import { el } from "./dom.js";
import { registerKind } from "./desk.js";

const FEW = 2, LARGE_PX = 640;  // so few pictures have the window for themselves
const WORDS = {
  best: ["Best", "it is there, and no other name fits better"], present: ["Present", "it is there, but another name fits better"],
  no: ["No", "it is not in the picture"], unsure: ["Unsure", "it cannot be told"],
};

// What is asked about one picture of a page that asks about several concepts.
const claim = ({ name, names, gloss, links, siblings }) => el("div", { class: "claim" },
  el("h2", {}, named(name)),
  names.length ? el("p", { class: "names" }, names.join(", ")) : null,
  gloss ? el("p", { class: "gloss" }, gloss) : null,
  siblings.length ? el("p", { class: "dim" }, `Not meant: ${siblings.map((one) => one.name).join(", ")}`) : null,
  el("p", { class: "links" }, links.map(({ word, address }) => el("a", { href: address, target: "_blank", rel: "noreferrer noopener" }, word, el("span", { class: "sr" }, ` about ${name} (opens elsewhere)`)))));
const named = (name) => `How well does “${name}” fit?`;

const show = (page, root, hands) => {
  const start = new Map(hands.drafted ?? page.given.map((one) => [one.position, one.answer]));
  const chosen = page.items.map((item) => start.get(item.position) ?? "");
  const isSeveral = !page.concept.concept_id, isFew = !isSeveral && page.items.length <= FEW, size = hands.side(isFew || isSeveral ? LARGE_PX : 400);
  let at = 0;
  const cards = page.items.map((item, place) => {
    const name = `answer-${item.position}`;
    const choices = page.answers.map((answer, number) => el("label", { class: "choice", title: WORDS[answer]?.[1] ?? null },
      el("input", { type: "radio", name, value: answer, onchange: () => choose(place, answer) }), el("kbd", { "aria-hidden": "true" }, String(number + 1)), el("span", {}, WORDS[answer]?.[0] ?? answer)));
    return el("fieldset", { class: "audited", tabindex: "-1", "data-place": place },
      el("legend", { class: "sr" }, `Picture ${place + 1} of ${page.items.length}${item.concept ? `: ${named(item.concept.name)}` : ""}`),
      el("div", { class: "shown" }, el("img", { src: hands.picture(item.position, size), alt: "", width: item.width, height: item.height, class: Math.max(item.width, item.height) <= 100 ? "little" : null })), el("div", { class: "judged" }, item.concept ? claim(item.concept) : null, el("div", { class: "choices" }, choices)));
  });
  root.replaceChildren(el("div", { class: isSeveral ? "audit several" : isFew ? "audit few" : "audit" }, cards));

  const tell = () => hands.tally(`${chosen.filter(Boolean).length} of ${page.items.length} answered`);
  const go = (place, focus = true) => {
    cards[at]?.classList.remove("here");
    at = Math.min(Math.max(place, 0), cards.length - 1);
    cards[at].classList.add("here");
    if (focus) {
      (cards[at].querySelector("input:checked") ?? cards[at].querySelector("input")).focus({ preventScroll: true });
      cards[at].scrollIntoView({ block: isSeveral ? "center" : "nearest" });
    }
  };
  const choose = (place, answer) => {
    chosen[place] = answer;
    cards[place].querySelector(`input[value="${CSS.escape(answer)}"]`).checked = true;
    cards[place].dataset.answer = answer;
    hands.draft(page.items.map((item, one) => [item.position, chosen[one]]));
    tell();
  };
  for (const [place, answer] of chosen.entries()) if (answer) choose(place, answer);
  for (const [place, card] of cards.entries()) card.addEventListener("focusin", () => { if (place !== at) go(place, false); });
  tell();
  go(0);
  return {
    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return false;
      const answer = page.answers[Number(event.key) - 1];
      if (answer) {
        choose(at, answer);
        const open = chosen.findIndex((one, place) => !one && place > at);
        go(open >= 0 ? open : Math.min(at + 1, cards.length - 1));
        return true;
      }
      const by = { ArrowRight: 1, l: 1, j: 1, ArrowDown: 1, ArrowLeft: -1, h: -1, k: -1, ArrowUp: -1 }[event.key];
      if (!by) return false;
      go(at + by);
      return true;
    },
    submit() {
      const open = chosen.indexOf("");
      if (open >= 0) { go(open); return hands.say("Each picture needs an answer: this one has none yet."); }
      hands.submit(page.items.map((item, place) => ({ position: item.position, answer: chosen[place], data: {} })));
    },
  };
};

registerKind("audit", {
  question: (page) => page.concept.concept_id ? `How well does ${page.concept.name} fit each picture?` : "How well does each name fit its picture?",
  pictures: 400,
  keys: [["1 2 3 4", "best label, present, not there, unsure; goes on to the next"], ["← → h l", "the picture before, the next one"]],
  show,
});
