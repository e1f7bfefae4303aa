// What a page says about its concept: heading, other names, gloss, where to read on, examples, and what it is not.

import { el } from "./dom.js";

const strip = (addresses, size, words) => el("div", { class: "strip-of" }, addresses.map((address, place) => el("img", { src: address.replace("{side}", size), alt: `${words} ${place + 1}`, decoding: "async" })));

export const conceptHead = (head, page, question, { side, unpicturable }) => {
  const { concept } = page, small = side(88), large = side(112);
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
