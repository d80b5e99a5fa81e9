"use strict";
// What the page can do beside being read: sort its tables, enlarge its figures, be light or dark.
// Without this script all of it is still there to read.
(() => {
  const root = document.documentElement;

  const button = (text, name, action) => {
    const made = document.createElement("button");
    made.type = "button";
    made.className = name;
    made.textContent = text;
    made.addEventListener("click", action);
    return made;
  };

  // Light and dark: as the system has it, until the reader says otherwise.
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const theme = button("", "theme", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* for this view only */ }
    nameTheme();
  });
  const nameTheme = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
  system.addEventListener("change", nameTheme);
  nameTheme();
  document.querySelector("header").prepend(theme);

  // The contents stand beside the report; where there is no room for that, they are folded.
  const beside = matchMedia("(min-width: 72rem)");
  const contents = document.querySelector("nav details");
  const fold = () => { contents.open = beside.matches; };
  beside.addEventListener("change", fold);
  fold();

  // The contents mark the section at the top of the window, and unfold or fold all sections.
  const links = new Map([...document.querySelectorAll("nav li a")].map((a) => [a.hash.slice(1), a]));
  const sections = [...document.querySelectorAll("main > section")];
  const markCurrent = () => {
    let current = sections[0];
    for (const section of sections) {
      if (section.getBoundingClientRect().top < innerHeight / 4) current = section;
    }
    if (scrollY + innerHeight > root.scrollHeight - 4 && scrollY > 0) {
      const named = document.getElementById(location.hash.slice(1))?.closest("main > section");
      current = named ?? sections.at(-1);
    }
    for (const [name, link] of links) {
      if (name !== current?.id) link.removeAttribute("aria-current");
      else if (!link.hasAttribute("aria-current")) {
        link.setAttribute("aria-current", "location");
        if (beside.matches) link.scrollIntoView({ block: "nearest" });
      }
    }
  };
  let waiting = false;
  const markSoon = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; markCurrent(); });
  };
  addEventListener("scroll", markSoon, { passive: true });
  addEventListener("resize", markSoon);
  const folds = [...document.querySelectorAll("main .fold")];
  const all = button("", "all", () => {
    const open = folds.some((one) => !one.open);
    for (const one of folds) one.open = open;
  });
  const nameAll = () => {
    all.textContent = folds.some((one) => !one.open) ? "Unfold all" : "Fold all";
    markSoon();
  };
  for (const one of folds) one.addEventListener("toggle", nameAll);
  nameAll();
  contents.append(all);

  // Tables: a click on a header sorts up, another one down, a third as it was.
  const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?/i;
  const keyOf = (cell) => {
    const text = cell.textContent.trim();
    if (cell.dataset.sort) return Number(cell.dataset.sort);
    if (text === "" || text === "–") return null;
    const number = NUMBER.exec(text.replace("−", "-"));
    return number ? Number(number[0]) : text;
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return a.localeCompare(b, "en", { numeric: true });
  };
  const sort = (table, header, rows) => {
    const next = { ascending: "descending", descending: "" };
    const was = header.getAttribute("aria-sort") ?? "";
    const order = was === "" ? "ascending" : next[was];
    for (const other of table.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
    let sorted = rows;
    if (order) {
      header.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const keyed = rows.map((row) => [keyOf(row.cells[header.cellIndex]), row]);
      const known = keyed.filter(([key]) => key !== null);
      known.sort(([a], [b]) => sign * compare(a, b));
      sorted = [...known, ...keyed.filter(([key]) => key === null)].map(([, row]) => row);
    }
    table.tBodies[0].append(...sorted);
  };
  for (const table of document.querySelectorAll("main table")) {
    const headers = [...table.tHead.rows].at(-1).cells;
    const rows = [...table.tBodies[0].rows];
    if (rows.length < 2 || rows.some((row) => row.cells.length !== headers.length)) continue;
    for (const header of headers) {
      if (!header.textContent.trim() || header.classList.contains("records")) continue;
      const sorter = button("", "sort", () => sort(table, header, rows));
      sorter.append(...header.childNodes);
      header.append(sorter);
    }
  }

  // A table that is wider than the window can be scrolled with the keyboard, and says so.
  const scrollers = document.querySelectorAll("main .scroll");
  const measure = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth + 1) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });
  for (const scroller of scrollers) measure.observe(scroller);

  // Figures: the drawing itself moves into the dialog, so that its ids stay unique.
  const dialog = document.createElement("dialog");
  const stage = document.createElement("div");
  stage.className = "stage";
  stage.tabIndex = 0;
  stage.setAttribute("role", "group");
  dialog.append(button("Close", "close", () => dialog.close()), stage);
  document.body.append(dialog);
  let home = null;
  const enlarge = (card) => {
    home = card;
    card.style.minHeight = `${card.offsetHeight}px`;
    const label = card.getAttribute("aria-label");
    dialog.setAttribute("aria-label", label);
    stage.setAttribute("aria-label", label);
    stage.append(...card.childNodes);
    dialog.showModal();
  };
  dialog.addEventListener("close", () => {
    home.append(...stage.childNodes);
    home.style.minHeight = "";
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  for (const figure of document.querySelectorAll("main figure")) {
    const card = figure.querySelector(".card");
    card.addEventListener("click", () => {
      if (enlarger.checkVisibility()) enlarge(card);
    });
    const enlarger = button("Enlarge", "enlarge", () => enlarge(card));
    enlarger.setAttribute("aria-label", `Enlarge ${figure.id.replace("-", " ")}`);
    figure.querySelector("figcaption").append(enlarger);
  }

  // A link opens what its target is folded in; paper shows all that is folded.
  const unfold = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    let folded = target?.querySelector(":scope > .fold") ?? target?.closest("details");
    if (!folded) return;
    for (; folded; folded = folded.parentElement.closest("details")) folded.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", unfold);
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    if (link && link.hash === location.hash) unfold();
  });
  unfold();
  markCurrent();
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("main details:not([open])")];
    for (const folded of closed) folded.open = true;
  });
  addEventListener("afterprint", () => {
    for (const folded of closed) folded.open = false;
  });

  // The page of a study that is being run loads itself again, unless the reader is at something.
  const seconds = Number(root.dataset.refresh ?? 0);
  if (seconds) {
    let paused = false;
    const pause = button("Pause", "pause", () => {
      paused = !paused;
      pause.textContent = paused ? "Resume" : "Pause";
    });
    document.querySelector(".live").append(" ", pause);
    setInterval(() => {
      if (!paused && !dialog.open) location.reload();
    }, 1000 * seconds);
  }
})();
