"use strict";
// Charts, and the page's own parts anew every five seconds. Without this file the page has the same numbers.
(() => {
  const EVERY = 5000;
  const byId = (id) => document.getElementById(id);
  const status = byId("status");
  const toggle = byId("live");
  // A page is live by itself: it asks for its own address, and takes the parts that change.
  const address = location.pathname + location.search.replace(/([?&])told=[^&]*/, "$1");

  // Charts ------------------------------------------------------------------------------------------------------
  const charts = new Map();
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const still = { duration: 0 };

  const scales = (stacked, percent) => ({
    x: { stacked, ticks: { color: colour("--dim"), maxRotation: 0, autoSkipPadding: 14 }, grid: { display: false } },
    y: {
      stacked, beginAtZero: true, max: percent ? 1 : undefined,
      ticks: {
        color: colour("--dim"), precision: percent ? undefined : 0,
        callback: percent ? (value) => Math.round(value * 100) + " %" : undefined,
      },
      grid: { color: colour("--line") },
    },
  });

  const options = (stacked, percent) => ({
    responsive: true, maintainAspectRatio: false, animation: false, transitions: { active: { animation: still } },
    interaction: { mode: "index", intersect: false },
    scales: scales(stacked, percent),
    plugins: {
      legend: { display: !percent, position: "bottom", labels: { color: colour("--text"), boxWidth: 12, boxHeight: 12 } },
      tooltip: percent ? { callbacks: { label: (item) => (item.parsed.y * 100).toFixed(1) + " %" } }
        : { filter: (item) => item.parsed.y > 0 },
    },
  });

  const ENDINGS = ["--c3", "--c5", "--c6"];
  const bars = (id, data) => data.series.map((series, index) => ({
    label: series.name, data: series.values, borderColor: colour("--panel"), borderWidth: { top: 1 },
    backgroundColor: colour(id === "dispositions" ? ENDINGS[index] : "--c" + (index + 1)),
  }));
  // A point between two others is part of the line; one without a neighbour would not be seen.
  const radius = (values) => values.map((_, at) => (
    values.length > 60 && values[at - 1] != null && values[at + 1] != null ? 0 : 2
  ));
  const line = (data) => [{
    label: "success rate", data: data.values, borderColor: colour("--c1"), backgroundColor: colour("--c1"),
    pointRadius: radius(data.values), borderWidth: 2, spanGaps: false,
  }];

  const draw = (script) => {
    const id = script.dataset.chart;
    const data = JSON.parse(script.textContent);
    const percent = id === "rates";
    const datasets = percent ? line(data) : bars(id, data);
    const known = charts.get(id);
    if (known) {
      known.data = { labels: data.labels, datasets };
      known.options = options(!percent, percent);
      known.update("none");
      return;
    }
    const canvas = byId(id + "-canvas");
    canvas.parentElement.hidden = false;
    charts.set(id, new Chart(canvas, {
      type: percent ? "line" : "bar", data: { labels: data.labels, datasets }, options: options(!percent, percent),
    }));
  };
  const drawAll = () => { for (const script of document.querySelectorAll("script[data-chart]")) draw(script); };

  // Copying -----------------------------------------------------------------------------------------------------
  const offerCopies = (root) => {
    // Only a secure page may write to the clipboard.
    if (navigator.clipboard) for (const button of root.querySelectorAll(".copy")) button.hidden = false;
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest(".copy");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.parentElement.querySelector("pre").textContent);
      say("Copied.");
    } catch {
      say("The browser did not let the page copy; select the text instead.", true);
    }
  });

  // Live updates ------------------------------------------------------------------------------------------------
  let timer = 0;
  let alarmed = false;
  const seen = new Map();
  const on = () => toggle.getAttribute("aria-checked") === "true";

  const say = (text, alarm = false) => {
    if (status.textContent !== text) status.textContent = text;
    status.classList.toggle("alarm", alarm);
    alarmed = alarm;
  };

  // What somebody reads, has opened a menu on, or is about to click stays as it is until they go on.
  const busy = (part) => {
    const selection = document.getSelection();
    return part.contains(document.activeElement)
      || (selection && !selection.isCollapsed && selection.containsNode(part, true))
      || part.querySelector("button:hover, summary:hover, a:hover") !== null;
  };

  const replace = (part, fresh) => {
    const open = new Set([...part.querySelectorAll("details[open][id]")].map((each) => each.id));
    const scrolled = [...part.querySelectorAll(".scroll")].map((each) => [each.scrollLeft, each.scrollTop]);
    const own = [part.scrollLeft, part.scrollTop];
    const adopted = document.importNode(fresh, true);
    for (const each of adopted.querySelectorAll("details[id]")) each.open = open.has(each.id);
    part.replaceWith(adopted);
    adopted.querySelectorAll(".scroll").forEach((each, index) => {
      if (scrolled[index]) [each.scrollLeft, each.scrollTop] = scrolled[index];
    });
    [adopted.scrollLeft, adopted.scrollTop] = own;
    offerCopies(adopted);
    if (adopted.dataset.chart) draw(adopted);
  };

  const figure = (root, name) => root.querySelector(`[data-figure="${name}"]`)?.textContent ?? "";
  const WATCHED = { dead: "Dead letters", unrecognized: "Unrecognized" };

  const show = (text) => {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    if (fresh.body.dataset.page !== document.body.dataset.page) throw new Error("not this page");
    document.title = fresh.title;
    document.body.dataset.status = fresh.body.dataset.status;
    if (byId("icon").href !== fresh.getElementById("icon").href) byId("icon").href = fresh.getElementById("icon").href;
    const news = [];
    for (const [name, title] of Object.entries(WATCHED)) {
      const before = figure(document, name);
      const now = figure(fresh, name);
      if (before !== now) news.push(`${title}: ${now}, were ${before}.`);
    }
    const top = scrollY;
    for (const part of fresh.querySelectorAll("[data-live][id]")) {
      const old = byId(part.id);
      if (!old || seen.get(part.id) === part.outerHTML || busy(old)) continue;
      seen.set(part.id, part.outerHTML);
      replace(old, part);
    }
    if (scrollY !== top) scrollTo({ top, behavior: "instant" });
    if (news.length) say(news.join(" "));
    else if (alarmed) say("Live again.");
  };

  const update = async () => {
    const stop = new AbortController();
    const late = setTimeout(() => stop.abort(), 4 * EVERY);
    try {
      const response = await fetch(address, { cache: "no-store", credentials: "same-origin", signal: stop.signal });
      if (response.status === 401 || response.status === 403 || response.redirected) {
        say("Your session has ended: load the page again.", true);
        turn(false);
        return;
      }
      if (!response.ok) throw new Error(String(response.status));
      show(await response.text());
    } catch {
      say("Live updates fail: what you see is from the time above. Trying again.", true);
    } finally {
      clearTimeout(late);
    }
  };

  const next = () => {
    clearTimeout(timer);
    if (on() && !document.hidden) timer = setTimeout(async () => { await update(); next(); }, EVERY);
  };
  const turn = (live) => {
    toggle.setAttribute("aria-checked", String(live));
    byId("live-word").textContent = live ? "on" : "off";
    if (live) update().then(next);
    else clearTimeout(timer);
  };

  toggle.addEventListener("click", () => {
    turn(!on());
    say(on() ? "Live updates on, every 5 seconds." : "Live updates off.");
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else if (on()) update().then(next);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);

  if (window.Chart) Chart.defaults.font.family = "system-ui, sans-serif";
  byId("live-box").hidden = false;
  offerCopies(document);
  drawAll();
  next();
})();
