"use strict";
// Before the page is drawn: light or dark, as the reader chose it last time.
(() => {
  try {
    const chosen = localStorage.getItem("theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch { /* a browser may refuse storage to a file */ }
})();
