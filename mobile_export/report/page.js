// Sorts the table of runs by the column whose header is activated. The headers are buttons, so that
// a keyboard reaches them; without a script the table stays in the order of the command line.
"use strict";

(() => {
  const table = document.getElementById("runs");
  const body = table.tBodies[0];
  const headers = [...table.querySelectorAll("thead th[aria-sort]")];
  const words = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

  // Rows without a value come last in either direction.
  function order(a, b, column, numeric, sign) {
    const [left, right] = [a, b].map((row) => row.cells[column].dataset.value);
    if (left === "" || right === "") return (left === "") - (right === "");
    return sign * (numeric ? Number(left) - Number(right) : words.compare(left, right));
  }

  headers.forEach((header, column) => {
    header.querySelector("button").addEventListener("click", () => {
      const rising = header.getAttribute("aria-sort") !== "ascending";
      for (const other of headers) other.setAttribute("aria-sort", "none");
      header.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const numeric = header.dataset.kind !== "text";
      const rows = [...body.rows].sort((a, b) => order(a, b, column, numeric, rising ? 1 : -1));
      body.append(...rows);
    });
  });
})();
