// SPDX-License-Identifier: Apache-2.0

(() => {
  const faults = [];
  const visible = (e) => e.checkVisibility({visibilityProperty: true}) && !e.closest(".hidden, .sprite, .skip, noscript");
  const short = (e) => e.outerHTML.slice(0, 120);

  if (document.documentElement.lang !== "en") faults.push("the page has no language");
  if (!document.title) faults.push("the page has no title");
  if (document.querySelectorAll("h1").length !== 1) faults.push("the page has not one h1");
  let level = 0;
  for (const h of document.querySelectorAll("h1, h2, h3, h4")) {
    const next = Number(h.tagName[1]);
    if (next > level + 1) faults.push(`the heading ${h.textContent.trim()} skips a level`);
    level = next;
  }

  const ids = new Set();
  for (const e of document.querySelectorAll("[id]")) {
    if (ids.has(e.id)) faults.push(`the ID ${e.id} is there twice`);
    ids.add(e.id);
  }
  for (const e of document.querySelectorAll("[aria-labelledby]")) if (!ids.has(e.getAttribute("aria-labelledby"))) faults.push(`nothing has the ID of ${short(e)}`);
  for (const e of document.querySelectorAll("a[href^='#']")) if (!ids.has(e.hash.slice(1))) faults.push(`nothing has the ID of ${short(e)}`);
  for (const e of document.querySelectorAll("[tabindex]")) if (e.tabIndex > 0) faults.push(`the order of the keyboard is changed by ${short(e)}`);
  for (const e of document.querySelectorAll("svg:not([aria-hidden])")) faults.push(`a picture has no text: ${short(e)}`);
  for (const e of document.querySelectorAll("th:not([scope])")) faults.push(`a heading of a table has no scope: ${short(e)}`);
  // A state is a word besides its color.
  for (const e of document.querySelectorAll(".state, .mark")) if (!e.textContent.trim()) faults.push(`a state has no word: ${short(e)}`);

  if (document.documentElement.scrollWidth > document.documentElement.clientWidth + 1) faults.push("the page is wider than the window");
  for (const box of document.querySelectorAll(".box, .lane")) {
    const right = box.getBoundingClientRect().right;
    for (const e of box.querySelectorAll("p, li, span")) {
      const range = document.createRange();
      range.selectNodeContents(e);
      if (visible(e) && range.getBoundingClientRect().right > right + 1) faults.push(`a text is wider than its box: ${short(e)}`);
    }
  }

  // The contrast of each text with what is behind it.
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const background = (e) => {
    const layers = [];
    for (let at = e; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const luminance = (c) => {
    const [r, g, b] = c.slice(0, 3).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = new Set();
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || seen.has(e) || !visible(e) || e.closest("option, script")) continue;
    seen.add(e);
    const style = getComputedStyle(e);
    const behind = background(e);
    let front = rgba(style.color);
    for (let at = e; at; at = at.parentElement) front[3] *= Number(getComputedStyle(at).opacity);
    const [a, b] = [luminance(over(front, behind)), luminance(behind)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) faults.push(`the contrast is ${ratio.toFixed(2)} of ${short(e)}`);
  }
  return faults;
})()
