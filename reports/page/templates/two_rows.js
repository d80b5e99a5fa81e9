"use strict";
// Two rows of any tables side by side, from the JSON in the page (reports/page/two_rows.py).
(() => {
  const root = document.getElementById("two-rows");
  const data = JSON.parse(document.getElementById("two-rows-data").textContent);
  const [first, second] = [".first-row", ".second-row"].map((name) => root.querySelector(name));
  const found = root.querySelector(".found");
  const NOTHING = "–";
  const { make, draw, crop } = elements;

  const number = (value) => (value ?? null) === null ? NOTHING : value.toFixed(1).replace("-", "−");
  const difference = (a, b) => {
    if ((a ?? null) === null || (b ?? null) === null) return NOTHING;
    const text = (b - a).toFixed(1);
    if (text === "0.0" || text === "-0.0") return "0.0";
    return text.startsWith("-") ? text.replace("-", "−") : `+${text}`;
  };
  const spread = ([mean, sd]) => (sd === undefined ? number(mean) : `${number(mean)} ± ${number(sd)}`);

  const table = (title, of, rows, last = "difference") => {
    const made = make("table", undefined, { class: "small" });
    made.append(make("caption"));
    made.caption.append(make("strong", title));
    const head = made.createTHead().insertRow();
    for (const text of [of, "first", "second", ...(last ? [last] : [])]) {
      head.append(make("th", text, { scope: "col" }));
    }
    const body = made.createTBody();
    for (const [name, ...values] of rows) {
      const line = body.insertRow();
      line.append(make("th", name, { scope: "row" }));
      for (const value of values) line.append(make("td", value));
    }
    return made;
  };
  const whole = (...parts) => {
    const made = make("div", undefined, { class: "whole" });
    made.append(...parts);
    return made;
  };

  // Precision–recall curves: one panel per IoU, the second row dashed.
  const LEFT = 44, TOP = 12, WIDE = 280, HIGH = 200;
  const panel = (iou, a, b, names) => {
    const at = (points) => points
      .map((y, n) => `${(LEFT + (WIDE * n) / (points.length - 1)).toFixed(1)},${(TOP + HIGH * (1 - y / 1000)).toFixed(1)}`)
      .join(" ");
    const middle = (points) => points ? `${(points[(points.length - 1) / 2 | 0] / 10).toFixed(0)} %` : "unknown";
    const label = `Precision–recall curves at IoU ${iou}. Precision near recall 50 %: ${names[0]} ${middle(a)}, ${names[1]} ${middle(b)}.`;
    const svg = draw("svg", { viewBox: `0 0 ${LEFT + WIDE + 16} ${TOP + HIGH + 44}`, role: "img", "aria-label": label });
    svg.append(draw("path", { class: "axis", d: `M${LEFT},${TOP}V${TOP + HIGH}H${LEFT + WIDE}` }));
    for (const share of [0, 0.5, 1]) {
      const percent = String(100 * share);
      svg.append(draw("text", { x: LEFT + WIDE * share, y: TOP + HIGH + 18, "text-anchor": "middle" }, percent));
      svg.append(draw("text", { x: LEFT - 8, y: TOP + HIGH * (1 - share) + 4, "text-anchor": "end" }, percent));
    }
    svg.append(draw("text", { x: LEFT + WIDE / 2, y: TOP + HIGH + 38, "text-anchor": "middle" }, "recall (%)"));
    svg.append(draw("text", { x: 12, y: TOP + HIGH / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${TOP + HIGH / 2})` }, "precision (%)"));
    for (const [points, name] of [[a, "first"], [b, "second"]]) {
      if (points) svg.append(draw("polyline", { class: `line ${name}`, points: at(points) }));
    }
    const made = make("div");
    made.append(make("strong", `Precision–recall curves, IoU ${iou}`), svg);
    return made;
  };

  const pictures = (a, b, names) => {
    const made = [];
    for (const picture of data.pictures) {
      const drawing = document.querySelector(`#figure-${CSS.escape(picture.figure)} svg.wide`);
      if (!drawing || !(a in picture.rows) || !(b in picture.rows)) continue;
      const crops = make("div", undefined, { class: "crops" });
      crops.append(make("span", "ground truth"), make("span", "first", { class: "key-first" }), make("span", "second", { class: "key-second" }));
      picture.rows[a].forEach((place, n) => {
        crops.append(
          crop(drawing, picture.truth[n], `image ${n + 1}, ground truth`),
          crop(drawing, place, `image ${n + 1}, ${names[0]}`),
          crop(drawing, picture.rows[b][n], `image ${n + 1}, ${names[1]}`),
        );
      });
      const link = make("a", picture.title, { href: `#figure-${picture.figure}` });
      const title = make("p", "The same images, from ");
      title.append(link);
      made.push(whole(title, crops));
    }
    return made;
  };

  const runs = (row, name) => {
    const made = make("p", `Runs of the ${name} row: `, { class: "note" });
    row.runs.forEach(([seed, cell], n) => {
      made.append(n ? ", " : "", make("a", `seed ${seed}`, { href: `#run-${encodeURIComponent(cell)}` }));
    });
    return made;
  };

  const show = () => {
    const chosen = [Number(first.value), Number(second.value)];
    const [a, b] = chosen.map((n) => data.rows[n]);
    const names = [a.name, b.name];
    const about = (row) => `${row.name}: AP ${spread(row.ap[0])}, ${row.seeds} seeds${row.state ? `, ${row.state}` : ""}`;
    root.querySelector(".said").replaceChildren(
      make("span", `First: ${about(a)}.`, { class: "key-first" }), make("br"),
      make("span", `Second: ${about(b)}.`, { class: "key-second" }),
    );
    const axes = [...new Set([...Object.keys(a.setting), ...Object.keys(b.setting)])];
    const differing = axes
      .map((axis) => [axis, a.setting[axis] ?? NOTHING, b.setting[axis] ?? NOTHING])
      .filter(([, ours, theirs]) => ours !== theirs);
    const parts = [
      differing.length ? table("Settings that differ", "setting", differing, "") : make("p", "The settings are the same."),
      table("AP by size, in percent", "metric", data.metrics
        .map((name, n) => [name, spread(a.ap[n]), spread(b.ap[n]), difference(a.ap[n][0], b.ap[n][0])])
        .filter(([, ours, theirs]) => ours !== NOTHING || theirs !== NOTHING)),
    ];
    const listed = (title, of, labels, ours, theirs) => {
      if (!ours.length && !theirs.length) return;
      parts.push(table(title, of, labels.map((name, n) =>
        [name, number(ours[n]), number(theirs[n]), difference(ours[n], theirs[n])])));
    };
    listed("Error types: rise of AP₅₀ if fixed", "error", data.errors, a.errors, b.errors);
    listed("AP per category, in percent", "category", data.categories, a.categories, b.categories);
    data.ious.forEach((iou, n) => {
      if (a.curves[n] || b.curves[n]) parts.push(panel(iou, a.curves[n], b.curves[n], names));
    });
    found.replaceChildren(...parts, ...pictures(...chosen, names), whole(runs(a, "first"), runs(b, "second")));
  };

  [first, second].forEach((select, which) => {
    for (const [title, options] of data.tables) {
      const group = make("optgroup", undefined, { label: title });
      for (const [row, label] of options) group.append(make("option", label, { value: row }));
      select.append(group);
    }
    select.value = String(data.first[which]);
    select.addEventListener("change", show);
  });
  show();
})();
