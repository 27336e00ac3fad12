"use strict";
// Times of the viewer, and the page's own parts anew every five seconds. Without this file the page says the same.
(() => {
  const EVERY = 5000;
  const byId = (id) => document.getElementById(id);
  const status = byId("status");
  const toggle = byId("live");
  // A page is live by itself: it asks for its own address, and takes the parts that change.
  const address = location.pathname + location.search;

  // Times -------------------------------------------------------------------------------------------------------
  // The page has every time in UTC; a viewer reads times of their own zone, with UTC at hand.
  const two = (number) => String(number).padStart(2, "0");
  const day = (at) => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const clock = (at) => `${two(at.getHours())}:${two(at.getMinutes())}`;
  const forms = {
    all: (at) => `${day(at)} ${clock(at)}:${two(at.getSeconds())}`,
    minute: (at) => `${day(at)} ${clock(at)}`,
    clock: (at) => (new Date() - at < 43200000 ? clock(at) : `${day(at)} ${clock(at)}`),
  };
  const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const localise = (root) => {
    for (const each of root.querySelectorAll("time[datetime]")) {
      const at = new Date(each.dateTime);
      if (!each.dateTime || Number.isNaN(at.getTime())) continue;
      each.title = each.dateTime.replace("T", " ").replace("Z", " UTC");
      each.textContent = (forms[each.dataset.form] || forms.all)(at);
    }
    for (const each of root.querySelectorAll("text[data-at]")) {
      const at = new Date(each.dataset.at);
      each.textContent = each.textContent.includes(":") ? clock(at) : `${two(at.getDate())} ${MONTHS[at.getMonth()]}`;
    }
    for (const each of root.querySelectorAll(".zone")) each.textContent = `(${zone})`;
  };

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
    localise(adopted);
  };

  const figure = (root, selector) => root.querySelector(selector)?.textContent ?? "";
  const WATCHED = {
    '[data-work="dead"]': "Dead letters", '[data-figure="unrecognized.range"]': "Unrecognized", ".headline .word": "Now",
  };

  const show = (text) => {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    if (fresh.body.dataset.page !== document.body.dataset.page) throw new Error("not this page");
    document.title = fresh.title;
    document.body.dataset.status = fresh.body.dataset.status;
    if (byId("icon").href !== fresh.getElementById("icon").href) byId("icon").href = fresh.getElementById("icon").href;
    const news = [];
    for (const [selector, title] of Object.entries(WATCHED)) {
      const before = figure(document, selector);
      const now = figure(fresh, selector);
      if (before !== now) news.push(`${title}: ${now || "none"}, before ${before || "none"}.`);
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

  byId("zone").textContent = `All times are of ${zone}; a time says its UTC when you point at it.`;
  localise(document);
  offerCopies(document);
  if (document.querySelector("[data-live]")) {
    byId("live-box").hidden = false;
    next();
  }
})();
