// What Sphinx leaves out for those who read with a keyboard or a screen reader.
addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("div.highlight pre, .table-wrapper").forEach((each) => (each.tabIndex = 0));
  document.querySelectorAll("p.caption[role=heading]").forEach((each) => (each.ariaLevel = 2));
});
