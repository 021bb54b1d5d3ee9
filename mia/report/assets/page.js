"use strict";
(async () => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  document.documentElement.classList.add("has-script");

  // Tables: choose one, sort by a column (a cell's class o7 says that it is the seventh), keep rows that hold all words.
  for (const section of all("section")) {
    const tables = all("[data-table]", section);
    section.querySelector("[data-tables]")?.addEventListener("change", (event) => {
      tables.forEach((one, k) => { one.hidden = String(k) !== event.target.value; });
    });
    section.querySelector("[data-filter]")?.addEventListener("input", (event) => {
      const words = event.target.value.toLowerCase().split(/\s+/);
      for (const row of tables.flatMap((one) => all("tbody tr", one))) {
        row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
      }
    });
    const place = (row, column) => Number(/\bo(\d+)\b/.exec(row.cells[column].className)?.[1] ?? 0);
    for (const heading of tables.flatMap((one) => all("thead th", one))) {
      heading.tabIndex = 0;
      const sort = () => {
        const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        all("th", heading.closest("tr")).forEach((one) => one.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
        const body = heading.closest("table").tBodies[0];
        body.append(...[...body.rows].sort((a, b) => sign * (place(a, heading.cellIndex) - place(b, heading.cellIndex))));
      };
      heading.addEventListener("click", sort);
      heading.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
    }
  }

  // The figures' data and the library lie in the page, compressed.
  const unpack = async (id) => {
    const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (sign) => sign.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };
  const { figures, datasets: rows, config, dark } = JSON.parse(await unpack("data"));
  if (!Object.keys(figures).length) return;
  const library = document.createElement("script");
  library.textContent = await unpack("vega");
  document.body.append(library);
  const isDark = matchMedia("(prefers-color-scheme: dark)");
  const themed = (value) => JSON.parse(JSON.stringify(value), (_, one) => (isDark.matches && dark[one]) || one);
  const names = (spec, found = new Set()) => {
    if (spec && typeof spec === "object") {
      if (spec.data?.name) found.add(spec.data.name);
      Object.values(spec).forEach((one) => names(one, found));
    }
    return found;
  };

  // What Vega-Lite cannot say: labels that avoid one another, axis titles that follow a choice (see look.py).
  const around = ["top-right", "top-left", "bottom-right", "bottom-left", "right", "left", "top", "bottom"];
  const patched = (vega, size = [{ signal: "width" }, { signal: "height" }]) => {
    for (const axis of vega.axes ?? []) {
      if (typeof axis.title === "string" && axis.title.startsWith("=")) axis.title = { signal: axis.title.slice(1) };
    }
    for (const mark of vega.marks ?? []) {
      const own = mark.encode?.update ?? {};
      if (mark.type === "group") patched(mark, [own.width ?? size[0], own.height ?? size[1]]);
      else if ([mark.style ?? []].flat().includes("placed")) {
        mark.transform = [{ type: "label", size, anchor: around, offset: [4, 4, 4, 4, 7, 7, 7, 7], padding: 12 }];
      }
    }
    return vega;
  };

  const fitted = (spec, width) => {
    const { least = 300, room = 62, most = 560 } = spec.usermeta ?? {};
    const parts = spec.concat ?? (spec.spec ? [spec.spec] : [spec]);
    const several = spec.concat || spec.spec;
    const columns = several ? Math.max(1, Math.min(spec.columns ?? 2, Math.floor((width + 24) / (least + 24)))) : 1;
    if (several) spec.columns = columns;
    const each = Math.max(120, Math.min(most, Math.floor((width - 24 * (columns - 1)) / columns - Math.min(room, width / 2) - 10)));
    for (const part of parts) part.width = each;
    return spec;
  };

  const views = new Map();
  const draw = async (figure) => {
    const place = figure.querySelector(".live");
    const width = place.clientWidth || 800;
    const spec = fitted(themed(figures[figure.dataset.figure]), width);
    spec.datasets = Object.fromEntries([...names(spec)].map((name) => [name, rows[name]]).filter(([, found]) => found));
    for (const one of spec.params ?? []) {
      if (chosen[one.name] !== undefined && (!one.bind?.options || one.bind.options.includes(chosen[one.name]))) one.value = chosen[one.name];
    }
    views.get(figure)?.finalize();
    const look = themed(config);
    const each = spec.resolve?.scale?.color === "independent" ? (spec.concat ?? [spec])[0].width : width; // of a legend
    const longest = Math.max(0, ...(rows.settings ?? []).map((one) => one.label.length)) * 6 + 30; // in pixels, about
    look.legend.columns = Math.max(1, Math.floor(each / Math.max(190, longest)));
    look.legend.labelLimit = Math.max(120, each - 80);
    look.axis.labelLimit = Math.min(look.axis.labelLimit, Math.floor(width * 0.45));
    look.title.limit = width;
    const options = { mode: "vega-lite", logLevel: 1, ast: true, renderer: "svg", actions: { export: true, source: false, compiled: false, editor: false }, defaultStyle: false, config: look, patch: patched, tooltip: { theme: isDark.matches ? "dark" : "light" } };
    const made = await vegaEmbed(place, spec, options);
    views.set(figure, made);
    made.view.addEventListener("click", (_, item) => show(figure, item?.datum));
    for (const one of spec.params ?? []) {
      if (one.bind) made.view.addSignalListener(one.name, (name, value) => follow(figure, name, value));
    }
  };

  // A choice holds for every figure that has it.
  const chosen = {};
  const follow = (figure, name, value) => {
    if (chosen[name] === value) return;
    chosen[name] = value;
    for (const [other, { view, spec }] of views) {
      const same = (spec.params ?? []).find((one) => one.name === name);
      if (other !== figure && same?.bind?.options?.includes(value)) view.signal(name, value).runAsync();
    }
  };

  // Choosing a point shows its run and its command.
  const show = (figure, datum) => {
    const setting = datum && (rows.settings ?? []).find((one) => one.s === datum.s);
    if (!setting) return;
    const line = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
    const command = document.createElement("pre");
    command.append(line("code", setting.command));
    figure.querySelector(".chosen").replaceChildren(line("b", setting.words), line("div", `run ${setting.run}, ${setting.runs} in all`), command);
  };

  const redraw = async () => { for (const figure of all("[data-figure]")) await draw(figure); };
  let before = innerWidth;
  isDark.addEventListener("change", redraw);
  addEventListener("resize", () => {
    if (Math.abs(innerWidth - before) < 40) return;
    before = innerWidth;
    redraw();
  });
  await redraw();
  document.documentElement.classList.add("is-drawn");
})();
