"use strict";
// The page works without this script: it makes tables sortable and figures interactive.
(async () => {
  const root = document.documentElement;
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const SVG = "http" + "://www.w3.org/2000/svg"; // a name, not an address
  const make = (name, text) => Object.assign(document.createElement(name), text === undefined ? {} : { textContent: text });
  root.classList.add("has-script");

  async function unpack(id) {
    const packed = document.getElementById(id).textContent.trim();
    const bytes = Uint8Array.from(atob(packed), (sign) => sign.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  // --- tables ---------------------------------------------------------------------------------
  function compare(a, b) {
    const x = Number(a), y = Number(b);
    if (a !== "" && b !== "" && !Number.isNaN(x) && !Number.isNaN(y)) return x - y;
    return String(a).localeCompare(String(b));
  }
  function sortBy(heading) {
    const table = heading.closest("table");
    const column = [...heading.parentNode.children].indexOf(heading);
    const rising = heading.getAttribute("aria-sort") !== "ascending";
    all("th", table).forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const value = (row) => row.children[column]?.dataset.value ?? "";
    const rows = all("tbody tr", table).sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === "" || y === "") return (x === "") - (y === ""); // what is missing stays last
      return rising ? compare(x, y) : compare(y, x);
    });
    table.tBodies[0].append(...rows);
  }
  document.addEventListener("click", (event) => {
    const heading = event.target.closest("th[data-sort]");
    if (heading) sortBy(heading);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    const heading = event.target.closest("th[data-sort]");
    if (heading) { event.preventDefault(); sortBy(heading); }
  });
  for (const box of all("input[data-filter]")) {
    box.addEventListener("input", () => {
      const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of all("tbody tr", document.getElementById(box.dataset.filter))) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      }
    });
  }
  for (const choice of all("select[data-tables]")) {
    choice.addEventListener("change", () => {
      for (const table of all(`[data-table="${choice.dataset.tables}"]`)) table.hidden = table.dataset.name !== choice.value;
    });
  }
  addEventListener("beforeprint", () => all("details").forEach((one) => { one.open = true; }));

  // --- figures --------------------------------------------------------------------------------
  let data;
  try {
    data = JSON.parse(await unpack("charts"));
    const script = make("script", await unpack("plotly"));
    document.head.append(script);
  } catch (error) {
    return; // an old browser: the still pictures stay
  }
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const phone = matchMedia("(max-width: 40rem)");
  const colours = () => data.themes[dark.matches ? "dark" : "light"];
  const themed = (value, theme) => JSON.parse(JSON.stringify(value), (key, one) => {
    const role = /color$/i.test(key) && typeof one === "string" && /^@(\w+)(~?)$/.exec(one);
    return role ? theme[role[1]] + (role[2] ? "99" : "") : one;
  });

  // Room for the names of ticks is counted here: plotly's own margins settle slowly, and sometimes not at all.
  const longest = (texts) => Math.max(0, ...texts.flatMap((text) => text.split("<br>")).map((line) => line.length));
  function marginsOf(chart, width) {
    const left = 34 + 6.2 * longest(chart.layout.yaxis.ticktext ?? ["0.000"]);
    const names = chart.layout.xaxis.ticktext ?? [];
    const turned = names.length > 0 && 6.4 * (longest(names) + 1) > (width - left) / names.length;
    return { turned, margin: { l: left, r: 14, t: 8, b: 44 + (turned ? 4.6 * longest(names) : 0) } };
  }

  function layoutOf(chart, theme, width) {
    const small = phone.matches;
    const { turned, margin } = marginsOf(chart, width);
    const axis = (own, angle) => ({
      gridcolor: theme.grid, linecolor: theme.quiet, zeroline: false, fixedrange: small, tickangle: angle,
      ...own, title: { ...own.title, standoff: 6, font: { size: 12 } }, tickfont: { size: small ? 10 : 11 },
    });
    return {
      ...chart.layout,
      height: chart.height,
      xaxis: axis(chart.layout.xaxis, turned ? -45 : 0),
      yaxis: axis(chart.layout.yaxis, 0),
      margin,
      showlegend: false,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: theme.ink, family: "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif", size: 12 },
      hovermode: "closest",
      hoverlabel: { bgcolor: theme.paper, bordercolor: theme.quiet, font: { color: theme.ink, size: 12 }, align: "left" },
      dragmode: small ? false : "zoom",
    };
  }

  // --- legends: buttons that show and hide ------------------------------------------------------
  const SHAPES = {
    "square": [[-1, -1], [1, -1], [1, 1], [-1, 1]],
    "triangle-up": [[0, -1.1], [1.1, 0.9], [-1.1, 0.9]],
    "triangle-down": [[0, 1.1], [1.1, -0.9], [-1.1, -0.9]],
    "diamond": [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]],
    "pentagon": ring(5, 1.2), "hexagon": ring(6, 1.2), "star": ring(5, 1.3, 0.55), "circle": ring(24, 1),
  };
  function ring(count, radius, inner) {
    const corners = inner ? 2 * count : count;
    return Array.from({ length: corners }, (_, k) => {
      const r = inner && k % 2 ? inner : radius, angle = (2 * Math.PI * k) / corners - Math.PI / 2;
      return [r * Math.cos(angle), r * Math.sin(angle)];
    });
  }
  function swatch(trace) {
    const svg = (name, attributes) => {
      const node = document.createElementNS(SVG, name);
      for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
      return node;
    };
    const picture = svg("svg", { width: 30, height: 14, viewBox: "0 0 30 14", "aria-hidden": "true" });
    const mode = trace.mode ?? "", fill = trace.type === "bar" || trace.fill;
    const colour = trace.type === "bar" || !mode.includes("lines") ? trace.marker.color : trace.line.color;
    if (fill) picture.append(svg("rect", { x: 8, y: 1, width: 14, height: 12, fill: colour, opacity: trace.opacity ?? 1 }));
    else if (mode.includes("lines")) {
      picture.append(svg("line", { x1: 0, x2: 30, y1: 7, y2: 7, stroke: colour, "stroke-width": Math.min(trace.line.width, 6),
        "stroke-dasharray": trace.line.dash === "dash" ? "5 3" : "none", opacity: trace.opacity ?? 1 }));
    }
    if (!fill && mode.includes("markers")) {
      const hollow = trace.marker.symbol.endsWith("-open");
      const points = SHAPES[trace.marker.symbol.replace("-open", "")].map(([x, y]) => `${15 + 4.4 * x},${7 + 4.4 * y}`);
      picture.append(svg("polygon", { points: points.join(" "), fill: hollow ? "none" : colour, stroke: colour, "stroke-width": 1.5 }));
    }
    return picture;
  }
  function legendOf(plot, traces, left) {
    const legend = make("div");
    legend.className = "legend";
    legend.style.paddingLeft = `${Math.min(left, 60)}px`;
    const shown = traces.filter((trace, k) => trace.showlegend && traces.findIndex((one) => one.name === trace.name && one.showlegend) === k);
    if (shown.length < 2) return legend;
    for (const trace of shown) {
      const button = make("button");
      const name = make("span");
      name.innerHTML = trace.name; // escaped where it was made
      button.type = "button";
      button.setAttribute("aria-pressed", "true");
      button.title = "show or hide";
      button.append(swatch(trace), name);
      button.addEventListener("click", () => {
        const visible = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(visible));
        const members = traces.flatMap((one, k) => (one.legendgroup === trace.legendgroup ? [k] : []));
        Plotly.restyle(plot, { visible }, members);
      });
      legend.append(button);
    }
    return legend;
  }

  function draw(figure) {
    const wanted = all("select", figure).map((one) => one.value);
    const charts = data.exhibits[figure.id].variants[wanted.join(",")] ?? [];
    const panels = figure.querySelector(".live");
    const theme = colours();
    all(".plot", panels).forEach((one) => Plotly.purge(one));
    panels.className = `live panels of-${charts.length}`;
    panels.replaceChildren(...charts.map((chart) => {
      const panel = make("div");
      panel.className = "panel";
      const plot = make("div");
      plot.className = "plot";
      panel.append(make("h3", chart.title), plot);
      return panel;
    }));
    figure.classList.add("is-live");
    charts.forEach((chart, k) => {
      const plot = panels.children[k].lastChild;
      const traces = themed(chart.data, theme);
      const layout = themed(layoutOf(chart, theme, plot.clientWidth), theme);
      Plotly.newPlot(plot, traces, layout, { responsive: true, displayModeBar: false, displaylogo: false });
      plot.after(legendOf(plot, themed(chart.data, theme), layout.margin.l));
    });
  }

  // A choice that does not fit the others changes those to the first that do.
  function reconcile(figure, changed) {
    const selects = all("select", figure);
    const keys = Object.keys(data.exhibits[figure.id].variants).map((key) => key.split(","));
    const wanted = selects.map((one) => one.value);
    const score = (key) => key.reduce((sum, value, k) => sum + (value === wanted[k] ? (selects[k] === changed ? 100 : 1) : 0), 0);
    const best = keys.reduce((a, b) => (score(b) > score(a) ? b : a));
    selects.forEach((one, k) => { one.value = best[k]; });
  }

  const figures = all("figure[data-exhibit]");
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      seen.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "600px" });
  for (const figure of figures) {
    seen.observe(figure);
    figure.addEventListener("change", (event) => { reconcile(figure, event.target); draw(figure); });
  }
  const redraw = () => figures.filter((one) => one.classList.contains("is-live")).forEach(draw);
  dark.addEventListener("change", redraw);
  phone.addEventListener("change", redraw);
})();
