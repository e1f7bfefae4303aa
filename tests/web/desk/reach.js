// What a machine can tell of a page's reach -> a list of what is wrong, empty for nothing. Run in the page by
// test_desk_reach.py. Numbers: WCAG 2.2 (1.4.3 contrast 4.5, large text 3; 2.5.8 targets of 24 px).
() => {
  const wrong = [];
  const modal = document.querySelector("dialog[open]");
  const scope = modal ?? document.body;
  const told = (one) => one.outerHTML.replace(/\s+/g, " ").slice(0, 110);
  const isShown = (one) => one.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && one.getClientRects().length > 0;
  const isHidden = (one) => one.closest("[aria-hidden=true]") || one.closest(".sr, .skip");
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((part) => { const at = part / 255; return at <= 0.04045 ? at / 12.92 : ((at + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const colour = (text) => { const parts = text.match(/[\d.]+/g).map(Number); return [...parts.slice(0, 3), parts[3] ?? 1]; };
  const over = (top, under) => [0, 1, 2].map((part) => top[part] * top[3] + under[part] * (1 - top[3]));
  const behind = (one) => {
    const layers = [];
    for (let at = one; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (style.backgroundImage !== "none") return null;  // a picture lies behind: not for a machine to say
      const found = colour(style.backgroundColor);
      if (found[3]) layers.push(found);
      if (found[3] === 1) break;
      if (at.matches(".many, .badge")) return layers.length ? found.slice(0, 3) : null;
    }
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
  };

  if (document.documentElement.lang !== "en") wrong.push("the page has no language");
  if (!document.title.trim()) wrong.push("the page has no title");
  if (document.querySelectorAll("main").length !== 1) wrong.push("not one main");
  if (!document.querySelector("header")) wrong.push("no header");
  const heads = [...document.querySelectorAll("h1")].filter((one) => isShown(one) && !one.closest("dialog"));
  if (heads.length !== 1) wrong.push(`${heads.length} headings of the first order`);
  const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
  for (const id of new Set(ids)) if (ids.filter((one) => one === id).length > 1) wrong.push(`id ${id} twice`);
  for (const one of document.querySelectorAll("[aria-labelledby], [aria-describedby]")) {
    for (const id of `${one.getAttribute("aria-labelledby") ?? ""} ${one.getAttribute("aria-describedby") ?? ""}`.split(/\s+/).filter(Boolean)) if (!document.getElementById(id)) wrong.push(`${id} names nothing: ${told(one)}`);
  }
  if (modal && !(modal.getAttribute("aria-label") || document.getElementById(modal.getAttribute("aria-labelledby"))?.textContent.trim())) wrong.push("a dialog without a name");

  for (const one of scope.querySelectorAll("a[href], button, input, select, textarea, [role=checkbox], [tabindex]:not([tabindex='-1'])")) {
    if (!isShown(one) || isHidden(one)) continue;
    const label = one.getAttribute("aria-label") || [...(one.labels ?? [])].map((each) => each.textContent).join(" ") || one.textContent || one.title;
    if (!label.trim()) wrong.push(`no name: ${told(one)}`);
    if (one.tabIndex > 0) wrong.push(`an order of its own: ${told(one)}`);
    const box = (one.matches("input[type=radio]") ? one.closest("label") : one).getBoundingClientRect();
    const isInText = one.matches("a") && one.parentElement.matches("p, li, .links");
    if (!isInText && !one.matches("[tabindex]:not(a, button, input, select, textarea)") && (box.width < 24 || box.height < 24)) wrong.push(`${Math.round(box.width)} × ${Math.round(box.height)} px is too small: ${told(one)}`);
  }
  for (const one of scope.querySelectorAll("*")) {
    const scrolls = /auto|scroll/.test(getComputedStyle(one).overflowX) && one.scrollWidth > one.clientWidth + 1;
    if (scrolls && isShown(one) && !one.matches("[tabindex], input, textarea") && !one.querySelector("a[href], button, input")) wrong.push(`scrolls, but not by keyboard: ${told(one)}`);
  }
  for (const one of scope.querySelectorAll("img")) if (one.getAttribute("alt") === null) wrong.push(`a picture without alt: ${told(one)}`);

  const walker = document.createTreeWalker(scope, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const one = node.parentElement;
    if (!node.data.trim() || !isShown(one) || isHidden(one) || one.closest("script, style, noscript, :disabled, option")) continue;
    const style = getComputedStyle(one), under = behind(one);
    if (!under) continue;
    let opacity = 1;
    for (let at = one; at; at = at.parentElement) opacity *= Number(getComputedStyle(at).opacity);
    const ink = colour(style.color);
    ink[3] *= opacity;
    const lights = [luminance(over(ink, under)), luminance(under)].sort((a, b) => b - a);
    const ratio = (lights[0] + 0.05) / (lights[1] + 0.05);
    const size = parseFloat(style.fontSize), isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) wrong.push(`contrast ${ratio.toFixed(2)} of “${node.data.trim().slice(0, 30)}”: ${told(one)}`);
  }
  return wrong;
}
