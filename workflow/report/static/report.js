// Tables that sort, filter and show one metric and view at a time; what a cell knows, in a bubble.
"use strict";
document.documentElement.classList.add("js");

const make = (tag, attributes = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...children);
  return made;
};
const unique = (values) => [...new Set(values)];

// ------------------------------------------------------------------------------ sort

// The number at the start of a cell, or its text: "1,234", "0.2554 ± 0.001", "+5.1%".
function valueOf(cell) {
  if (!cell) return "";
  const text = (cell.dataset.value ?? cell.firstChild?.textContent ?? "").trim();
  const number = parseFloat(text.replaceAll(",", "").replace("\u2212", "-"));
  return Number.isNaN(number) ? text.toLowerCase() : number;
}

function compare(a, b) {
  if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
  return typeof a === "number" ? -1 : 1; // words after numbers
}

function sortBy(table, heading) {
  const down = heading.getAttribute("aria-sort") !== "descending" && heading.classList.contains("number");
  const turned = heading.getAttribute("aria-sort") === "ascending";
  const sign = down || turned ? -1 : 1;
  const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row.cells[heading.cellIndex]), row]);
  rows.sort(([a], [b]) => (typeof a === typeof b ? sign : 1) * compare(a, b));
  table.tBodies[0].append(...rows.map(([, row]) => row));
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", sign < 0 ? "descending" : "ascending");
}

function makeSortable(table) {
  if (!table.tHead || table.tHead.rows.length > 1) return;
  for (const heading of table.tHead.rows[0].cells) {
    const button = make("button", { className: "sort", type: "button" }, ...heading.childNodes);
    button.addEventListener("click", () => sortBy(table, heading));
    heading.append(button);
  }
}

// ------------------------------------------------------- one metric and view at a time

function select(label, values, chosen) {
  const list = make("select", {}, ...values.map((value) => make("option", { value, selected: value === chosen }, value)));
  return [make("label", {}, label, list), list];
}

function addControls(section) {
  const boards = [...section.querySelectorAll(".board")];
  const metrics = unique(boards.flatMap((board) => [...board.querySelectorAll("[data-metric]")].map((th) => th.dataset.metric)));
  const views = unique(boards.map((board) => board.dataset.view));
  const full = views.find((view) => view.startsWith("history train+valid, mask train+valid")) ?? views[0];
  const name = (values, other) => (values.every((one) => /^\S+@\d+$/.test(one)) ? "metric" : other);
  const [metricLabel, metric] = select(name(metrics, "column"), metrics, metrics.includes("ndcg@10") ? "ndcg@10" : metrics[0]);
  const [viewLabel, view] = select(name(views, "what models are shown"), views, full);
  const all = make("input", { type: "checkbox" });
  const filter = make("input", { type: "search" });
  const show = () => {
    section.querySelector(".boards").classList.toggle("narrow", !all.checked);
    for (const board of boards) {
      board.hidden = !all.checked && board.dataset.view !== view.value;
      const table = board.querySelector("table");
      const wanted = [...table.tHead.rows[0].cells].map((th) => all.checked || !th.dataset.metric || th.dataset.metric === metric.value);
      for (const row of table.rows) wanted.forEach((one, j) => (row.cells[j].hidden = !one));
      for (const row of table.tBodies[0].rows) {
        row.hidden = !row.cells[0].firstChild.textContent.toLowerCase().includes(filter.value.toLowerCase());
      }
    }
    metric.disabled = view.disabled = all.checked;
  };
  for (const input of [metric, view, all, filter]) input.addEventListener("input", show);
  const parts = [...(metrics.length > 1 ? [metricLabel] : []), ...(views.length > 1 ? [viewLabel] : [])];
  parts.push(make("label", {}, "model contains", filter));
  if (metrics.length > 1 || views.length > 1) parts.push(make("label", { className: "check" }, all, "all columns"));
  section.querySelector(".boards").before(make("div", { className: "controls" }, ...parts));
  show();
}

// ----------------------------------------------------------------------------- bubble

const bubble = make("div", { id: "bubble", hidden: true });
bubble.setAttribute("role", "status");

function point(cell) {
  const row = cell.parentElement;
  const heading = cell.closest("table").tHead.rows[0].cells[cell.cellIndex].textContent;
  const parts = [cell, ...(cell === row.cells[0] ? [] : [row.cells[0]])].map((one) => one.querySelector(".more")).filter(Boolean);
  if (!parts.length) return;
  const title = cell === row.cells[0] ? "" : `, ${heading}`;
  bubble.replaceChildren(make("strong", {}, row.cells[0].firstChild.textContent + title), ...parts.map((part) => part.cloneNode(true)));
  bubble.hidden = false;
  const box = cell.getBoundingClientRect();
  bubble.style.left = `${Math.max(8, Math.min(box.left, innerWidth - bubble.offsetWidth - 8))}px`;
  const below = box.bottom + bubble.offsetHeight + 8 < innerHeight;
  bubble.style.top = `${below ? box.bottom - 1 : Math.max(8, box.top - bubble.offsetHeight + 1)}px`;
}

function addBubbles(table) {
  for (const row of table.tBodies[0].rows) {
    if (!row.querySelector(".more")) continue;
    for (const cell of row.cells) cell.tabIndex = 0;
  }
  const cellOf = (event) => event.target.closest?.("tbody td, tbody th");
  for (const kind of ["mouseover", "focusin", "click"]) {
    table.addEventListener(kind, (event) => cellOf(event) && point(cellOf(event)));
  }
}

let leaving;
addEventListener("mouseover", (event) => {
  clearTimeout(leaving);
  if (!event.target.closest?.("#bubble, .results tbody")) leaving = setTimeout(() => (bubble.hidden = true), 250);
});
addEventListener("keydown", (event) => event.key === "Escape" && (bubble.hidden = true));
addEventListener("scroll", () => (bubble.hidden = true), true);

// ------------------------------------------------------------------------------ start

document.querySelectorAll("table.results, table.sortable, .table table, details table").forEach((table) => makeSortable(table));
document.querySelectorAll("section.table").forEach((section) => section.querySelector(".board") && addControls(section));
document.querySelectorAll("table.results").forEach((table) => table.closest(".board") && addBubbles(table));
document.body.append(bubble);
if (matchMedia("(max-width: 72rem)").matches) document.querySelector(".side details")?.removeAttribute("open");

const folded = [];
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details:not([open])")) folded.push(one), (one.open = true);
});
addEventListener("afterprint", () => folded.splice(0).forEach((one) => (one.open = false)));
