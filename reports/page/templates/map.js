"use strict";
// The rows of the map's drawings: hover, focus or a tap shows a row's numbers, its records and its
// place in the table. A drawing is one tab stop; arrow keys move between its rows.
// Without this script the drawings show every value, and a row's numbers as the browser's own hint.
(() => {
  // A button covers its row: it ends in the middle between its mark and the next one.
  const place = (buttons, middles, height) => {
    const first = middles.length > 1 ? (middles[1] - middles[0]) / 2 : middles[0] / 3;
    buttons.forEach((button, number) => {
      const up = number ? (middles[number] - middles[number - 1]) / 2 : first;
      const down = number + 1 < middles.length ? (middles[number + 1] - middles[number]) / 2 : up;
      button.style.top = `${100 * (middles[number] - up) / height}%`;
      button.style.height = `${100 * (up + down) / height}%`;
    });
  };

  for (const plot of document.querySelectorAll(".map .plot")) {
    const { table } = plot.dataset;
    const drawing = plot.querySelector("svg");
    const rowsIn = (part) => [...document.querySelectorAll(`#table-${CSS.escape(table)} > ${part} tbody tr`)];
    const rows = rowsIn(".scroll"), details = rowsIn("details"); // records may be in the details
    rows.forEach((row, number) => { row.id = `row-${table}-${number}`; });

    const marks = document.createElement("div");
    marks.className = "marks";
    marks.setAttribute("role", "group");
    marks.setAttribute("aria-label", `Rows of table ${table}: arrow keys move`);
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    const buttons = [], middles = [];
    let pinned = false;

    const link = (text, target, name = "") => {
      const made = document.createElement("a");
      made.textContent = text;
      made.href = target;
      if (name) made.setAttribute("aria-label", name);
      return made;
    };
    const show = (number) => {
      buttons.forEach((one, at) => one.classList.toggle("current", at === number));
      const sentence = document.createElement("p");
      sentence.textContent = buttons[number].getAttribute("aria-label");
      const links = document.createElement("p");
      links.append(link("Row in the table", `#row-${table}-${number}`));
      const records = [rows, details].flatMap((of) => [...of[number]?.querySelectorAll(".records a") ?? []]);
      if (records.length) links.append(records.length > 1 ? "Records: " : "Record: ");
      for (const one of records) {
        links.append(link(one.textContent, one.getAttribute("href"), one.getAttribute("aria-label")));
      }
      tip.replaceChildren(sentence, links);
      tip.hidden = false;
    };
    const hide = () => {
      pinned = false;
      tip.hidden = true;
      for (const one of buttons) one.classList.remove("current");
    };
    const reach = (number) => {
      const next = buttons[Math.max(0, Math.min(number, buttons.length - 1))];
      for (const one of buttons) one.tabIndex = one === next ? 0 : -1;
      next.focus();
    };

    // The drawing's own order is that of its layers.
    const numberOf = (mark) => Number(mark.id.split("-").at(-1));
    const found = [...drawing.querySelectorAll("g[id*='mark-']")];
    found.sort((a, b) => numberOf(a) - numberOf(b));
    for (const [number, mark] of found.entries()) {
      const title = mark.querySelector("title");
      const button = document.createElement("button");
      button.type = "button";
      button.tabIndex = number ? -1 : 0;
      button.setAttribute("aria-label", title.textContent);
      title.remove();
      button.addEventListener("pointerenter", () => { if (!pinned) show(number); });
      button.addEventListener("focus", () => { pinned = true; show(number); });
      button.addEventListener("click", () => reach(number));
      button.addEventListener("keydown", (event) => {
        const to = { ArrowDown: number + 1, ArrowUp: number - 1, Home: 0, End: Infinity }[event.key];
        if (to === undefined) return;
        event.preventDefault();
        reach(to);
      });
      buttons.push(button);
      middles.push(Number(mark.querySelector("[y]").getAttribute("y")));
      marks.append(button);
    }
    place(buttons, middles, drawing.viewBox.baseVal.height);
    plot.append(marks, tip);
    plot.addEventListener("pointerleave", () => { if (!pinned) hide(); });
    plot.addEventListener("focusout", (event) => {
      if (!plot.contains(event.relatedTarget)) hide();
    });
    plot.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  }
})();
