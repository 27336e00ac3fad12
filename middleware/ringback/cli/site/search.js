"use strict";
(() => {
  const form = document.getElementById("search");
  const box = document.getElementById("query");
  const status = document.getElementById("found");
  const sections = [...document.querySelectorAll("section")];
  const items = sections.flatMap((section) => [...section.querySelectorAll("li")]
    .map((item) => ({ item, text: ((section.dataset.cause || "") + " " + item.textContent).toLowerCase() })));
  // In every spelling a pair is two words; the words code and subcode between them find nothing.
  const wordsOf = (query) => query.toLowerCase()
    .replace(/\.@/g, " ")
    .replace(/[#/:,;={}"'()]+/g, " ")
    .split(/\s+/)
    .filter((word) => word && !["code", "subcode", "sub-code", "diagcode"].includes(word));
  const isNamed = (section, query) => {
    const cause = section.dataset.cause;
    return cause && (" " + query + " ").includes(" " + cause.replaceAll("_", " ") + " ");
  };
  // The cause with the typed name comes first; without typed text all causes stand in the page's order.
  const order = (query) => {
    const first = sections.filter((section) => isNamed(section, query));
    const wanted = [...first, ...sections.filter((section) => !first.includes(section))];
    const now = [...document.querySelectorAll("section")];
    if (wanted.some((section, place) => section !== now[place])) sections[0].parentNode.append(...wanted);
  };
  const share = () => {
    const address = new URL(location.href);
    if (box.value.trim()) address.searchParams.set("q", box.value.trim());
    else address.searchParams.delete("q");
    try { history.replaceState(null, "", address); } catch { /* a page that may not change its address */ }
  };
  const show = () => {
    const words = wordsOf(box.value);
    for (const { item, text } of items) item.hidden = !words.every((word) => text.includes(word));
    order(words.join(" ").replaceAll("_", " "));
    for (const section of sections) section.hidden = !section.querySelector("li:not([hidden])");
    const found = document.querySelectorAll("section[data-cause] li:not([hidden])").length;
    const counted = found ? found + (found === 1 ? " entry" : " entries") : "No entry has all of these words.";
    status.textContent = words.length ? counted : "";
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  box.addEventListener("input", () => { show(); share(); });
  box.value = new URLSearchParams(location.search).get("q") || box.value;
  form.hidden = false;
  show();
})();
