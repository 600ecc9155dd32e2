"use strict";
(() => {
  const FEW = 20;
  const { runs, rules, environments, files, jobs } = JSON.parse(
    document.getElementById("data").textContent,
  );
  const panel = document.getElementById("panel");
  const said = document.getElementById("said");

  // -- the graph: files know their maker, and learn their readers ------------------------------

  const readers = files.map(() => []);
  const byRule = rules.map(() => []);
  jobs.forEach((job, number) => {
    job.inputs ??= [];
    job.outputs ??= [];
    job.label = job.values ? `${rules[job.rule]} ${job.values}` : rules[job.rule];
    byRule[job.rule].push(number);
    for (const file of job.inputs) readers[file].push(number);
  });
  const sources = files.flatMap((file, number) => (file.maker === undefined ? [number] : []));

  // The jobs and files that can be reached from some files; `jobsOf` and `filesOf` say which way.
  const reach = (start, jobsOf, filesOf) => {
    const foundJobs = new Set();
    const foundFiles = new Set(start);
    const waiting = [...start];
    while (waiting.length) {
      for (const job of jobsOf(waiting.pop())) {
        if (foundJobs.has(job)) continue;
        foundJobs.add(job);
        for (const file of filesOf(jobs[job])) {
          if (foundFiles.has(file)) continue;
          foundFiles.add(file);
          waiting.push(file);
        }
      }
    }
    for (const file of start) foundFiles.delete(file);
    return { jobs: [...foundJobs].sort((a, b) => a - b), files: [...foundFiles].sort((a, b) => a - b) };
  };
  const makers = (file) => (files[file].maker === undefined ? [] : [files[file].maker]);
  const upstream = (start) => reach(start, makers, (job) => job.inputs);
  const downstream = (start) => reach(start, (file) => readers[file], (job) => job.outputs);

  // -- pieces of the page; texts become text nodes, never markup -------------------------------

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== undefined && value !== false) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== undefined && child !== ""));
    return element;
  };
  const count = (number, what) => `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;
  const link = (kind, number, text) =>
    make("a", { class: "name", href: `#${kind}-${number}` }, text);
  const mark = (text, mood) => make("span", { class: `mark ${mood}` }, text);
  const faint = (text) => make("span", { class: "faint" }, text);
  const moods = {
    executed: "good", local: "good", reused: "old", failed: "bad", interrupted: "bad", unconfirmed: "doubt",
  };
  const digest = (value) => {
    if (value === undefined) return faint("not recorded");
    const short = value.slice(0, 12);
    return make(
      "button",
      {
        type: "button",
        class: "digest",
        "aria-expanded": "false",
        "aria-label": `SHA-256 ${short}, show in full and copy`,
        "data-digest": value,
      },
      short,
      make("span", { class: "rest" }, value.slice(12)),
    );
  };
  const facts = (pairs) => {
    const list = make("dl", { class: "facts" });
    for (const [name, ...values] of pairs) {
      const shown = values.filter((value) => value !== undefined && value !== "");
      if (shown.length) list.append(make("dt", {}, name), make("dd", {}, ...shown));
    }
    return list;
  };

  // A list of any length, of which one page at a time is in the document.
  const paged = (items, draw, label) => {
    const list = make("ol", { class: "items", "aria-label": label });
    const box = make("div", { class: "paged" }, list);
    if (items.length <= FEW) {
      list.append(...items.map(draw));
      return box;
    }
    let first = 0;
    const place = make("span", { role: "status", "aria-live": "polite" });
    const turn = (text, step) => {
      const button = make("button", { type: "button" }, text);
      button.addEventListener("click", () => {
        first += step;
        show();
      });
      return button;
    };
    const back = turn("Back", -FEW);
    const on = turn("More", FEW);
    const show = () => {
      const last = Math.min(first + FEW, items.length);
      list.replaceChildren(...items.slice(first, last).map(draw));
      list.start = first + 1;
      place.textContent = `${(first + 1).toLocaleString("en")} to ${last.toLocaleString("en")} of ${items.length.toLocaleString("en")}`;
      back.disabled = first === 0;
      on.disabled = last === items.length;
    };
    show();
    box.append(make("div", { class: "turn" }, back, place, on));
    return box;
  };
  const jobItem = (number) => {
    const job = jobs[number];
    const where = [];
    if (job.result !== "executed") where.push(" ", mark(job.result, moods[job.result]));
    return make("li", {}, link("job", number, job.label), ...where);
  };
  const fileItem = (number) => {
    const file = files[number];
    const what = file.removed ? [" ", mark("removed by design", "old")] : [];
    return make("li", {}, link("file", number, file.path), " ", digest(file.digest), ...what);
  };
  const fold = (title, items, draw) =>
    make("details", {}, make("summary", {}, title), paged(items, draw, title));
  const group = (title, items, draw) =>
    items.length > FEW ? fold(title, items, draw) : make("div", {}, make("p", { class: "group" }, title), paged(items, draw, title));

  const environment = (one) => {
    const state = one.pinned ? mark("pinned", "good") : mark("not pinned", "doubt");
    return [make("span", { class: "name" }, one.name ?? "not recorded"), " ", digest(one.digest), " ", state];
  };
  const commit = (run) => {
    const code = run.commit
      ? [" commit ", make("code", { title: run.commit }, run.commit.slice(0, 12))]
      : [" not under git"];
    const changed = run.dirty ? [" ", mark("with uncommitted changes", "doubt")] : [];
    const which = run === runs[0] ? ["this run"] : ["run ", make("code", {}, run.id.slice(0, 8))];
    return [...which, ",", ...code, ...changed];
  };
  const unique = (values) => [...new Set(values.filter((value) => value !== undefined))];
  const apart = (pieces) => pieces.flatMap((piece, index) => (index ? [make("br"), ...piece] : piece));

  // What a set of jobs and files says: with which commits and environments, rule by rule.
  const story = (found, title, none) => {
    const box = make("section", {}, make("h4", {}, title));
    if (!found.jobs.length && !found.files.length) {
      box.append(make("p", { class: "note" }, none));
      return box;
    }
    const perRule = new Map();
    for (const job of found.jobs) {
      const rule = jobs[job].rule;
      if (!perRule.has(rule)) perRule.set(rule, []);
      perRule.get(rule).push(job);
    }
    const given = found.files.filter((file) => files[file].maker === undefined);
    const made = found.files.filter((file) => files[file].maker !== undefined);
    const members = found.jobs.map((number) => jobs[number]);
    box.append(
      facts([
        ["In all", `${count(found.jobs.length, "job")} of ${count(perRule.size, "rule")}, ${count(found.files.length, "file")}`],
        ["Code", ...apart(unique(members.map((job) => runs[job.run])).map(commit))],
        ["Environments", ...apart(unique(members.map((job) => environments[job.environment])).map(environment))],
      ]),
    );
    for (const [rule, numbers] of perRule) {
      box.append(group(`${rules[rule]}: ${count(numbers.length, "job")}`, numbers, jobItem));
    }
    if (made.length) box.append(group(`${count(made.length, "file")} that jobs made`, made, fileItem));
    if (given.length) box.append(group(`${count(given.length, "input")} that no job made`, given, fileItem));
    return box;
  };

  // -- what is chosen ---------------------------------------------------------------------------

  const showRule = (rule) => {
    const numbers = byRule[rule];
    const box = make("div");
    box.append(make("p", { class: "lead" }, count(numbers.length, "job")));
    const list = make("div", {}, paged(numbers, jobItem, `Jobs of ${rules[rule]}`));
    if (numbers.length > FEW) {
      const field = make("input", { type: "search", id: "narrow", autocomplete: "off", spellcheck: "false" });
      field.addEventListener("input", () => {
        const fitting = numbers.filter((number) => fits(jobs[number].label.toLowerCase(), words(field.value)));
        list.replaceChildren(
          fitting.length ? paged(fitting, jobItem, `Jobs of ${rules[rule]}`) : make("p", { class: "note", role: "status" }, "No job has that."),
        );
      });
      box.append(make("div", { class: "narrow screen" }, make("label", { for: "narrow" }, "Only jobs with"), field));
    }
    box.append(list);
    return ["rule", rules[rule], [box], { here: [rule] }];
  };

  const showSources = () => [
    "files", "Inputs that no job made", [paged(sources, fileItem, "Inputs")], { here: ["inputs"] },
  ];

  const showJob = (number) => {
    const job = jobs[number];
    const used = [job.time && `${job.time} of time`, job.cpu && `${job.cpu} of CPU`, job.memory && `${job.memory} of memory at most`];
    const pairs = (values) => Object.entries(values ?? {}).map(([name, value]) => `${name}=${value}`).join(", ");
    const parts = [
      facts([
        ["Came out", mark(job.result, moods[job.result]), job.attempts && ` after ${job.attempts} attempts`],
        ["Error", job.error],
        ["Rule", link("rule", job.rule, rules[job.rule])],
        ["Code", ...(job.run === undefined ? ["who did the work is not on record"] : commit(runs[job.run]))],
        ["Environment", ...(job.environment === undefined ? [] : environment(environments[job.environment]))],
        ["Started", job.started, job.started && job.host && ` on ${job.host}`],
        ["Used", used.filter(Boolean).join(", ")],
        ["Runs", job.code && make("code", {}, job.code)],
        ["Parameters", pairs(job.params)],
        ["Seeds", pairs(job.seeds)],
        ["Metrics", pairs(job.metrics)],
        ["Log", job.log && make("span", { class: "name" }, job.log)],
        ["Job key", job.key && digest(job.key)],
        ["Attempt", make("code", {}, job.id)],
        ...(job.remarks ?? []).map((remark) => ["Remark", mark(remark, "doubt")]),
      ]),
      make("section", {}, make("h4", {}, `Reads ${count(job.inputs.length, "file")}`), paged(job.inputs, fileItem, "Files it reads")),
      make("section", {}, make("h4", {}, `Wrote ${count(job.outputs.length, "file")}`), paged(job.outputs, fileItem, "Files it wrote")),
    ];
    const up = upstream(job.inputs);
    const down = downstream(job.outputs);
    return ["job", job.label, parts, { here: [job.rule], up: ends(up), down: ends(down) }];
  };

  const showFile = (number) => {
    const file = files[number];
    const up = upstream([number]);
    const down = downstream([number]);
    const job = jobs[file.maker];
    const run = job ? runs[job.run] : file.elsewhere;
    const used = job ? environments[job.environment] : file.elsewhere?.digest && file.elsewhere;
    const maker = file.elsewhere
      ? make("span", { class: "name" }, file.elsewhere.label)
      : "no recorded job";
    const parts = [
      facts([
        ["SHA-256", digest(file.digest)],
        ["Size", file.size, file.kind && ` (${file.kind})`],
        ["Made by", job ? link("job", file.maker, job.label) : maker],
        ["With", ...(run ? commit(run) : [])],
        ["In", ...(used ? environment(used) : [])],
        ["When", (job ?? file.elsewhere)?.started],
        ["Remark", file.altered && mark("a job wrote to this path, but not these bytes", "doubt")],
        ["State", file.removed && mark("removed by design", "old")],
      ]),
      story(
        up,
        "Where it comes from",
        file.elsewhere
          ? `A job of run ${file.elsewhere.id.slice(0, 8)} made it; \`repro lineage\` goes on from there.`
          : "No job that is on record made it.",
      ),
      story(down, "What was made from it", "No job of this run reads it."),
    ];
    const here = job ? [job.rule] : ["inputs"];
    return ["file", file.path, parts, { here, up: ends(up), down: ends(down) }];
  };

  // The boxes of the graph that a set of jobs and files touches.
  const ends = (found) => {
    const boxes = unique(found.jobs.map((job) => jobs[job].rule));
    return found.files.some((file) => files[file].maker === undefined) ? [...boxes, "inputs"] : boxes;
  };

  const place = (box) => (box === "inputs" ? "inputs" : `rule-${box}`);
  const light = ({ here = [], up = [], down = [] }) => {
    const kinds = new Map();
    for (const box of down) kinds.set(place(box), "down");
    for (const box of up) kinds.set(place(box), "up");
    for (const box of here) kinds.set(place(box), "here");
    const graph = document.getElementById("graph");
    graph.classList.toggle("lit", kinds.size > 1);
    for (const node of graph.querySelectorAll(".node")) {
      const kind = kinds.get(node.dataset.place);
      node.classList.toggle("here", kind === "here");
      node.classList.toggle("near", kind === "up" || kind === "down");
    }
    for (const curve of graph.querySelectorAll(".curve")) {
      curve.classList.toggle("near", kinds.has(curve.dataset.from) && kinds.has(curve.dataset.to));
    }
  };

  const chosen = () => {
    const [, kind, text] = /^#(rule|job|file)-(\d+)$/.exec(location.hash) ?? [];
    if (location.hash === "#inputs") return showSources();
    const number = Number(text);
    if (kind === "rule" && number < rules.length) return showRule(number);
    if (kind === "job" && number < jobs.length) return showJob(number);
    if (kind === "file" && number < files.length) return showFile(number);
    return undefined;
  };
  const show = () => {
    const found = chosen();
    if (found === undefined) return;
    const [kind, title, parts, boxes] = found;
    const close = make("button", { type: "button", class: "close screen" }, "Close");
    close.addEventListener("click", () => {
      panel.hidden = true;
      light({});
      window.history.pushState(null, "", "#lineage");
      document.getElementById("query").focus();
    });
    const heading = make("h3", { tabindex: "-1" }, make("span", { class: "kicker" }, kind), " ", make("span", { class: "name" }, title));
    panel.replaceChildren(close, heading, ...parts);
    panel.hidden = false;
    light(boxes);
    heading.focus({ preventScroll: true });
    panel.scrollIntoView({ block: "start" });
  };

  // -- search -----------------------------------------------------------------------------------

  const words = (text) => text.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (text, wanted) => wanted.every((word) => text.includes(word));
  const entries = [
    ...rules.map((rule, number) => ["rule", number, rule]),
    ...files.map((file, number) => ["file", number, file.path]),
    ...jobs.map((job, number) => ["job", number, job.label]),
  ].map(([kind, number, text]) => ({ kind, number, text, low: text.toLowerCase() }));

  const form = document.getElementById("search");
  const query = document.getElementById("query");
  let waiting;
  const search = () => {
    clearTimeout(waiting);
    const wanted = words(query.value);
    const found = document.getElementById("found");
    const matches = document.getElementById("matches");
    if (!wanted.length) {
      found.replaceChildren();
      matches.textContent = "";
      return;
    }
    const prefix = /^(?:sha256:)?([0-9a-f]{4,64})$/.exec(wanted.join(" "))?.[1];
    const named = entries.filter((entry) => fits(entry.low, wanted));
    const hashed = prefix === undefined ? [] : entries.filter(
      ({ kind, number, low }) => kind === "file" && !fits(low, wanted) && files[number].digest?.startsWith(prefix),
    );
    const all = [...hashed, ...named];
    matches.textContent = all.length ? `${all.length.toLocaleString("en")} found` : "Nothing found";
    found.replaceChildren(
      all.length ? paged(all, ({ kind, number, text }) => make("li", {}, faint(kind), " ", link(kind, number, text)), "What was found") : "",
    );
  };
  query.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(search, 80);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    search();
    document.querySelector("#found a")?.focus();
  });
  form.hidden = false;

  // -- copying ----------------------------------------------------------------------------------

  const copy = async (text, element, what) => {
    try {
      await navigator.clipboard.writeText(text);
      said.textContent = `${what} copied`;
    } catch {
      // not allowed here: select it, so that a key copies it
      const range = document.createRange();
      range.selectNodeContents(element);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      said.textContent = `${what} selected`;
    }
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.digest, button.copy");
    if (button?.matches(".digest")) {
      const open = button.getAttribute("aria-expanded") !== "true";
      button.setAttribute("aria-expanded", String(open));
      if (open) copy(button.dataset.digest, button, "SHA-256");
    } else if (button) {
      const source = document.getElementById(button.dataset.copy);
      copy(source.textContent, source, "Text");
    }
    const rod = event.target.closest("[data-job]");
    if (rod) location.hash = `job-${rod.dataset.job}`;
    // the same place again is no change of the address
    const same = event.target.closest("a[href^='#']");
    if (same?.getAttribute("href") === location.hash) show();
  });

  addEventListener("hashchange", show);
  show();
})();
