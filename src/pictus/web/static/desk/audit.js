// The audit: an expert's independent look at pictures of one concept, each with one of four answers.

import { el } from "./dom.js";
import { registerKind } from "./desk.js";

const FEW = 2, LARGE_PX = 640;  // so few pictures have the window for themselves
const WORDS = {
  best: ["Best", "it is there, and no other name fits better"], present: ["Present", "it is there, but another name fits better"],
  no: ["No", "it is not in the picture"], unsure: ["Unsure", "it cannot be told"],
};

const show = (page, root, hands) => {
  const start = new Map(hands.drafted ?? page.given.map((one) => [one.position, one.answer]));
  const chosen = page.items.map((item) => start.get(item.position) ?? "");
  const isFew = page.items.length <= FEW, size = hands.side(isFew ? LARGE_PX : 400);
  let at = 0;
  const cards = page.items.map((item, place) => {
    const name = `answer-${item.position}`;
    const choices = page.answers.map((answer, number) => el("label", { class: "choice", title: WORDS[answer]?.[1] ?? null },
      el("input", { type: "radio", name, value: answer, onchange: () => choose(place, answer) }), el("kbd", { "aria-hidden": "true" }, String(number + 1)), el("span", {}, WORDS[answer]?.[0] ?? answer)));
    return el("fieldset", { class: "audited", tabindex: "-1", "data-place": place },
      el("legend", { class: "sr" }, `Picture ${place + 1} of ${page.items.length}`),
      el("div", { class: "shown" }, el("img", { src: hands.picture(item.position, size), alt: "", width: item.width, height: item.height, class: Math.max(item.width, item.height) <= 100 ? "little" : null })), el("div", { class: "choices" }, choices));
  });
  root.replaceChildren(el("div", { class: isFew ? "audit few" : "audit" }, cards));

  const tell = () => hands.tally(`${chosen.filter(Boolean).length} of ${page.items.length} answered`);
  const go = (place, focus = true) => {
    cards[at]?.classList.remove("here");
    at = Math.min(Math.max(place, 0), cards.length - 1);
    cards[at].classList.add("here");
    if (focus) {
      (cards[at].querySelector("input:checked") ?? cards[at].querySelector("input")).focus({ preventScroll: true });
      cards[at].scrollIntoView({ block: "nearest" });
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
  question: (page) => `How well does ${page.concept.name} fit each picture?`,
  pictures: 400,
  keys: [["1 2 3 4", "best label, present, not there, unsure; goes on to the next"], ["← → h l", "the picture before, the next one"]],
  show,
});
