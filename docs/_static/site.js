// What Sphinx leaves out.
addEventListener("DOMContentLoaded", () => {
  // For those who read with a keyboard or a screen reader.
  document.querySelectorAll("div.highlight pre, .table-wrapper").forEach((each) => (each.tabIndex = 0));
  document.querySelectorAll("p.caption[role=heading]").forEach((each) => (each.ariaLevel = 2));
  // A long name in a table may break between its words, or its column takes the width of the others.
  document.querySelectorAll("td code .pre").forEach((each) => {
    if (each.textContent.length > 20) each.innerHTML = each.innerHTML.replace(/([._/=(])(?=\w)/g, "$1<wbr>");
  });
});
