"use strict";
// The seconds in which a change can be taken back, and one box for all letters of a page. Both work without this file.
(() => {
  const count = () => {
    for (const each of document.querySelectorAll("[data-left]")) {
      const began = Number(each.dataset.began ||= performance.now());
      const left = Number(each.dataset.left) - (performance.now() - began) / 1000;
      each.textContent = Math.max(0, Math.ceil(left)) + " s";
      const undo = each.closest("section").querySelector(".undo");
      if (undo && left <= 0) { undo.form.remove(); each.parentElement.remove(); }
    }
  };
  if (document.querySelector("#made")) setInterval(count, 250);

  const all = document.getElementById("all");
  if (!all) return;
  const boxes = [...document.querySelectorAll('input[name="letter"]')];
  all.parentElement.hidden = false;
  all.addEventListener("change", () => { for (const box of boxes) box.checked = all.checked; });
  document.addEventListener("change", () => { all.checked = boxes.every((box) => box.checked); });
})();
