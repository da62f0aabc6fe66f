"use strict";
(() => {
  const root = document.documentElement;
  const themes = ["system", "light", "dark"];
  const button = document.getElementById("theme");
  const show = (theme) => {
    if (theme === "system") { root.removeAttribute("data-theme"); } else { root.dataset.theme = theme; }
    button.textContent = "Theme: " + theme;
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    const now = root.dataset.theme || "system";
    show(themes[(themes.indexOf(now) + 1) % themes.length]);
  });

  const unfold = () => {
    const target = document.getElementById(location.hash.slice(1));
    const folded = target && target.querySelector("details.folded");
    if (folded) { folded.open = true; }
  };
  window.addEventListener("hashchange", unfold);
  unfold();

  const keyOf = (cell) => {
    if (cell.dataset.value !== undefined) { return Number(cell.dataset.value); }
    return cell.classList.contains("number") ? null : cell.textContent;
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") { return a - b; }
    return String(a).localeCompare(String(b), undefined, { numeric: true });
  };
  const sortBy = (table, header) => {
    const column = header.cellIndex;
    const rising = header.getAttribute("aria-sort") !== "ascending";
    for (const other of header.parentNode.cells) { other.removeAttribute("aria-sort"); }
    header.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const body = table.tBodies[0];
    const rows = Array.from(body.rows, (row) => [keyOf(row.cells[column]), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) { return (a === null) - (b === null); }
      return rising ? compare(a, b) : compare(b, a);
    });
    body.append(...rows.map(([, row]) => row));
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    table.tHead.addEventListener("click", (event) => {
      const header = event.target.closest("th");
      if (header) { sortBy(table, header); }
    });
  }
})();
