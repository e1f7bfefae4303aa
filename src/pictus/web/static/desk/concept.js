// What a page says about its concept: heading, other names, gloss, where to read on, examples, and what it is not.

import { el } from "./dom.js";

const LARGE = 112, SMALL = 88;  // CSS px, about
const strip = (addresses, size, words) => el("div", { class: "strip-of" }, addresses.map((address, place) => el("img", { src: address.replace("{side}", size), alt: `${words} ${place + 1}`, decoding: "async", onerror: (event) => event.target.remove() })));

// Addresses of all pictures in the head of a page, to be fetched ahead.
export const examples = (concept, side) => [
  ...concept.exemplars.map((address) => address.replace("{side}", side(LARGE))),
  ...concept.siblings.flatMap((sibling) => sibling.pictures.map((address) => address.replace("{side}", side(SMALL)))),
];

export const conceptHead = (head, page, question, { side, unpicturable }) => {
  const { concept } = page, small = side(SMALL), large = side(LARGE);
  const links = concept.links.map(({ word, address }) => el("a", { href: address, target: "_blank", rel: "noreferrer noopener" }, word, el("span", { class: "sr" }, " (opens elsewhere)")));
  head.replaceChildren(
    el("div", { class: "meant" },
      el("h1", { tabindex: "-1" }, question),
      concept.names.length ? el("p", { class: "names" }, concept.names.join(", ")) : null,
      concept.gloss ? el("p", { class: "gloss" }, concept.gloss) : null,
      el("p", { class: "links" }, links, unpicturable ? el("button", { type: "button", class: "as-link", onclick: unpicturable, "aria-keyshortcuts": "p" }, "Cannot be pictured?") : null, page.reason ? el("span", { class: "dim why" }, page.reason) : null)),
    concept.exemplars.length ? el("div", { class: "examples" }, el("h2", {}, "Examples"), strip(concept.exemplars, large, concept.name)) : "",
    concept.siblings.length ? el("div", { class: "others" }, el("h2", {}, "Not meant"), el("ul", {}, concept.siblings.map((sibling) => el("li", { title: sibling.gloss || null }, sibling.pictures.length ? strip(sibling.pictures, small, sibling.name) : null, el("span", {}, sibling.name))))) : "",
  );
};
