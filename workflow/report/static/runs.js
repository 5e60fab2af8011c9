// The table of runs: sort, filter, pages. In print all rows stand there.
"use strict";
const runs = document.getElementById("runs");
const table = new simpleDatatables.DataTable(runs, {
  perPage: 50,
  perPageSelect: [25, 50, 200, ["all", 0]],
  labels: { placeholder: "filter", searchTitle: "Filter runs", perPage: "runs a page", noRows: "no run", noResults: "no run matches", info: "{start} to {end} of {rows}" },
  columns: [{ select: [...runs.tHead.rows[0].cells].map((_, j) => j).slice(-3), sortable: false }],
});
addEventListener("beforeprint", () => { table.options.perPage = table.data.data.length; table.update(); });
