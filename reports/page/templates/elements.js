"use strict";
// The elements that the page's interactive parts draw with.
const elements = (() => {
  const make = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const draw = (name, attributes, text) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  // A panel of a picture of the page: a copy of the drawing that shows only this part of it.
  const crop = (drawing, [left, top, wide, high], text) => {
    const box = make("div", undefined, { class: "crop", role: "img", "aria-label": text });
    const copy = drawing.cloneNode(true);
    const [x, y, width, height] = drawing.getAttribute("viewBox").split(/[\s,]+/).map(Number);
    copy.setAttribute("viewBox", [x + left * width, y + top * height, wide * width, high * height].join(" "));
    for (const name of ["class", "width", "height"]) copy.removeAttribute(name);
    for (const one of copy.querySelectorAll("[id]")) one.removeAttribute("id"); // those of the original count
    box.append(copy);
    return box;
  };
  return { make, draw, crop };
})();
