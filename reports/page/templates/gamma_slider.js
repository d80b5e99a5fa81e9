"use strict";
// FL and FL* at the gamma of a slider, from the JSON in the page (reports/page/gamma_slider.py).

// The losses without alpha, of s = logit(p_t): finite however close p_t is to 0 or 1.
const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const lossOfLogit = {
  focal: (s, gamma) => Math.exp(-gamma * softplus(s)) * softplus(-s),
  focal_star: (s, gamma, saturatesAt) => {
    const end = gamma > 0 ? saturatesAt / gamma : Infinity; // beyond it, training keeps the loss constant
    const kept = Math.min(Math.max(s, -end), end);
    return Math.exp(-gamma * kept) * softplus(-kept);
  },
};

// The share of the examples and of their loss, each [examples, loss], the easiest examples first;
// empty where there is no loss.
const sharesOfLoss = ({ first, step, counts }, loss) => {
  const sums = [[0, 0]];
  for (let n = counts.length - 1, examples = 0, total = 0; n >= 0; n--) {
    if (!counts[n]) continue;
    examples += counts[n];
    total += counts[n] * loss(first + n * step);
    sums.push([examples, total]);
  }
  const [examples, total] = sums.at(-1);
  return !(total > 0) ? [] : sums.map(([x, y]) => [x / examples, y / total]);
};

// The share of the loss at a share of the examples, between the points of the curve.
const shareAt = (points, share) => {
  const end = points.findIndex(([x]) => x >= share);
  if (end < 1) return NaN;
  const [[x0, y0], [x1, y1]] = [points[end - 1], points[end]];
  return y0 + ((y1 - y0) * (share - x0)) / (x1 - x0);
};

(() => {
  const root = document.getElementById("gamma-slider");
  const data = JSON.parse(document.getElementById("gamma-slider-data").textContent);
  const input = root.querySelector("input");
  const { make, draw, crop } = elements;
  const at = (name, gamma) => (s) => lossOfLogit[name](s, gamma, data.saturates_at);
  const logit = (p) => Math.log(p / (1 - p));
  const number = (value) => value.toLocaleString("en", { maximumSignificantDigits: 3 });
  const percent = (share) => {
    if (Number.isNaN(share)) return "–";
    if (share < 0.0005) return "under 0.1 %";
    return share > 0.9995 ? "over 99.9 %" : `${(100 * share).toFixed(1)} %`;
  };

  // Two panels whose axes stay and whose lines move.
  const LEFT = 34, TOP = 26, WIDE = 310, HIGH = 210;
  const panel = (place, { above, below, highest, marks, ticks, losses, legend }) => {
    const svg = draw("svg", { viewBox: `0 0 ${LEFT + WIDE + 14} ${TOP + HIGH + 42}`, role: "img" });
    svg.append(draw("text", { x: 2, y: 14 }, above));
    svg.append(draw("path", { class: "axis", d: `M${LEFT},${TOP}V${TOP + HIGH}H${LEFT + WIDE}` }));
    for (const [x, text] of marks) {
      svg.append(draw("text", { x: LEFT + WIDE * x, y: TOP + HIGH + 18, "text-anchor": "middle" }, text));
    }
    for (const y of ticks) {
      svg.append(draw("text", { x: LEFT - 7, y: TOP + HIGH * (1 - y / highest) + 4, "text-anchor": "end" }, String(y)));
    }
    svg.append(draw("text", { x: LEFT + WIDE / 2, y: TOP + HIGH + 37, "text-anchor": "middle" }, below));
    losses.forEach(([name, short], n) => {
      const [x, y] = legend(n);
      svg.append(draw("path", { class: `line ${name}`, d: `M${LEFT + x},${y}h32` }));
      svg.append(draw("text", { x: LEFT + x + 40, y: y + 4 }, short));
    });
    // The view ends here; the lines do not.
    const view = draw("svg", { x: LEFT, y: TOP, width: WIDE, height: HIGH, viewBox: `0 0 ${WIDE} ${HIGH}` });
    const lines = new Map(losses.map(([name]) => [name, draw("polyline", { class: `line ${name}` })]));
    view.append(...lines.values());
    svg.append(view);
    place.append(svg);
    return (label, curves) => {
      svg.setAttribute("aria-label", label);
      for (const [name, points] of curves) {
        // Far above the view, a height is as good as any other, and a drawing has no room for it.
        const shown = points.map(([x, y]) => `${(WIDE * x).toFixed(1)},${(HIGH * (1 - Math.min(y, 3 * highest) / highest)).toFixed(1)}`);
        lines.get(name).setAttribute("points", shown.filter((one, n) => one !== shown[n - 1]).join(" "));
      }
    };
  };

  const P_T = Array.from({ length: 399 }, (_, n) => (n + 1) / 400);
  const curve = (loss) => [...P_T.map((p) => [p, loss(logit(p))]), [1, 0]];
  const drawLosses = panel(root.querySelector(".over-p-t"), {
    above: `loss, αₜ = 1 (view ends at ${data.highest}; unbounded as pₜ → 0)`,
    below: "pₜ, probability given to the true label",
    marks: [0, 0.5, 1].map((p) => [p, String(p)]),
    highest: data.highest, ticks: [0, data.highest], losses: [...data.losses, ["ce", "CE (γ = 0)"]], legend: (n) => [190, TOP + 10 + 20 * n],
  });
  // A few negative examples carry most of the loss: from 1e-6 of them at the left to all of them.
  const onLogScale = (share) => 1 + Math.log10(share) / 6;
  const hardestFirst = (points) => points.map(([x, y]) => [1 - x, 1 - y]).filter(([x]) => x > 0)
    .reverse().map(([x, y]) => [onLogScale(x), y]);
  const drawShares = data.examples && panel(root.querySelector(".over-examples"), {
    above: "share of the loss", below: "share of the negative examples, hardest first",
    marks: [1e-6, 1e-4, 0.01, 1].map((share) => [onLogScale(share), share < 1e-4 ? share.toExponential() : String(share)]),
    highest: 1, ticks: [0, 0.5, 1], losses: data.losses, legend: (n) => [170 + 80 * n, 10],
  });

  // What was trained nearest to the chosen gamma.
  const mark = (cells) => {
    for (const old of document.querySelectorAll(".ring, .ring-note")) old.remove();
    const figure = document.getElementById(`figure-${data.figure}`);
    if (!figure) return;
    for (const { mark } of cells) {
      for (const drawing of [data.figure, `${data.figure}-narrow`]) {
        const cell = document.getElementById(`${drawing}-${mark}`);
        const edge = cell?.querySelector("path");
        if (!edge) continue;
        const d = edge.getAttribute("d");
        cell.parentNode.append(draw("path", { class: "ring halo", d }), draw("path", { class: "ring", d }));
      }
    }
    const note = make("span", ` Ringed: nearest to γ = ${input.value} of the `, { class: "ring-note" });
    note.append(make("a", "slider", { href: "#gamma-slider" }), ".");
    figure.querySelector("figcaption").append(note);
  };
  const described = (short, cell, cells) => {
    const made = make("div"), text = make("p", `Nearest trained ${short}: ${cell.name}`);
    if (cell.alphas > 1) text.append(`, the best of ${cell.alphas} α`);
    text.append(`: ${cell.ap}`);
    if (cell.state) text.append(` (${cell.state})`);
    cell.runs.forEach(([seed, name], n) => {
      text.append(n ? ", " : ", record of ", make("a", `seed ${seed}`, { href: `#run-${encodeURIComponent(name)}` }));
    });
    text.append("; ");
    const link = make("a", "its place in the heat map", { href: `#figure-${data.figure}` });
    link.addEventListener("click", () => mark(cells));
    text.append(link, ".");
    made.append(text);
    const drawing = cell.crop && document.querySelector(`#figure-${CSS.escape(cell.crop.figure)} svg.wide`);
    if (drawing) {
      const from = make("p", "From ", { class: "note" });
      from.append(make("a", cell.crop.title, { href: `#figure-${cell.crop.figure}` }), `, seed ${cell.crop.seed} of this setting.`);
      made.append(crop(drawing, cell.crop.place, `Detections, ${cell.name}, seed ${cell.crop.seed}`), from);
    }
    return made;
  };
  const nearest = (cells, gamma) => cells.reduce((best, one) =>
    Math.abs(one.gamma - gamma) < Math.abs(best.gamma - gamma) ? one : best);

  const show = (moved) => {
    const gamma = Number(input.value);
    root.querySelector(".value").textContent = input.value;
    const values = [0.1, 0.5, 0.9].map((p) => `at pₜ = ${p}: ` + data.losses
      .map(([name, short]) => `${short} ${number(at(name, gamma)(logit(p)))}`).join(", "));
    const shares = data.examples ? data.losses.map(([name]) => [name, sharesOfLoss(data.examples, at(name, gamma))]) : [];
    const hardest = shares.map(([, points], n) => `${percent(1 - shareAt(points, 1 - data.hardest))} of ${data.losses[n][1]}`);
    const carried = `The hardest ${100 * data.hardest} % of the negative examples carry ${hardest.join(" and ")}.`;
    root.querySelector("output").replaceChildren(
      ...[`γ = ${input.value}`, ...values].flatMap((text, n) => [make("span", text + (n < values.length ? ";" : ".")), " "]),
      ...(hardest.length ? [make("span", carried, { class: "hardest" })] : []),
    );
    drawLosses(`Loss over p_t at γ = ${input.value}; ${values.join("; ")}.`, [
      ...data.losses.map(([name]) => [name, curve(at(name, gamma))]), ["ce", curve(at("focal", 0))],
    ]);
    if (drawShares) drawShares(`Share of the loss over the share of the negative examples at γ = ${input.value}. ${carried}`, shares.map(([name, points]) => [name, hardestFirst(points)]));
    const found = data.losses.filter(([name]) => data.trained[name]?.length)
      .map(([name, short]) => [short, nearest(data.trained[name], gamma)]);
    const cells = found.map(([, cell]) => cell);
    root.querySelector(".nearest").replaceChildren(...found.map(([short, cell]) => described(short, cell, cells)));
    if (moved) mark(cells);
  };

  root.hidden = false;
  input.addEventListener("input", () => show(true));
  show(false);
})();
