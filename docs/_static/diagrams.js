// Draws the diagrams of a page, and draws them again when the reader changes between light and dark.
const dark = matchMedia("(prefers-color-scheme: dark)");
const drawings = [...document.querySelectorAll("pre.mermaid")].map((place) => [place, place.textContent]);

async function draw() {
  const { theme } = document.body.dataset;
  const isDark = theme === "dark" || (theme !== "light" && dark.matches);
  mermaid.initialize({ startOnLoad: false, securityLevel: "strict", theme: isDark ? "dark" : "neutral" });
  for (const [place, text] of drawings) {
    place.removeAttribute("data-processed");
    place.textContent = text;
  }
  await mermaid.run({ nodes: drawings.map(([place]) => place) });
}

dark.addEventListener("change", draw);
new MutationObserver(draw).observe(document.body, { attributeFilter: ["data-theme"] });
draw();
