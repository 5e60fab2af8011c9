// What the tests ask of a page, asked inside a browser. The answers end up in the page as JSON.
"use strict";
const answers = {};
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

// A page in a frame of some width; with `print` its rules for paper are in force.
async function open_page(name, width, print = false) {
  const frame = document.createElement("iframe");
  Object.assign(frame, { width, height: 900, src: name });
  const ready = new Promise((done) => (frame.onload = done));
  document.body.append(frame);
  await ready;
  await wait(700);
  if (print) await to_paper(frame);
  return frame;
}

async function to_paper(frame) {
  const inner = frame.contentWindow;
  inner.dispatchEvent(new inner.Event("beforeprint"));
  for (const sheet of inner.document.styleSheets) {
    for (const rule of sheet.cssRules) {
      if (rule.media) rule.media.mediaText = rule.media.mediaText === "print" ? "all" : "not all";
    }
  }
  await wait(300);
}

async function accessible(frame) {
  const inner = frame.contentWindow;
  const script = inner.document.createElement("script");
  script.src = "axe.min.js";
  const ready = new Promise((done) => (script.onload = done));
  inner.document.head.append(script);
  await ready;
  const found = await inner.axe.run(inner.document, { resultTypes: ["violations"] });
  return found.violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(" | ")}`);
}

// Labels of charts that stick out of their picture, or of the room that the page has for it.
function clipped(frame) {
  const found = [];
  for (const picture of frame.contentDocument.querySelectorAll(".chart svg")) {
    const whole = picture.getBoundingClientRect(), room = picture.closest(".chart").getBoundingClientRect();
    const box = { left: whole.left, right: Math.min(whole.right, room.right), top: whole.top, bottom: whole.bottom };
    for (const text of picture.querySelectorAll("text")) {
      const own = text.getBoundingClientRect();
      if (own.width && (own.left < box.left - 1 || own.right > box.right + 1 || own.top < box.top - 1 || own.bottom > box.bottom + 1)) found.push(text.textContent);
    }
  }
  return found;
}

// Colours of charts that are not the page's own: they would not follow light, dark and paper.
function fixed_colours(frame) {
  const own = ["none", "transparent", null], found = new Set();
  for (const one of frame.contentDocument.querySelectorAll(".chart svg :is(path, text, line, rect)")) {
    for (const name of ["fill", "stroke"]) {
      const colour = one.getAttribute(name);
      if (!own.includes(colour) && !colour.startsWith("var(--") && !one.closest(".background")) found.add(colour);
    }
  }
  return [...found];
}

const out_of_sight = (frame) => [...frame.contentDocument.querySelectorAll("nav[aria-label=Pages] a")].filter((a) => a.getBoundingClientRect().right > frame.clientWidth).map((a) => a.textContent);
const pictures = (frame) => [...frame.contentDocument.querySelectorAll(".picture img")].map((img) => img.getBoundingClientRect().width);

// Tables of leaders: whether they need to scroll, say so, and show their last column once they have.
function leaders(frame) {
  const alpha = (one) => parseFloat(frame.contentWindow.getComputedStyle(one).backgroundColor.split(",")[3] ?? "1");
  return [...frame.contentDocument.querySelectorAll(".scroll:has(.leaders)")].map((box) => {
    const wide = box.scrollWidth > box.clientWidth;
    const told = frame.contentWindow.getComputedStyle(box, "::before").content.includes("scroll sideways");
    const covering = [...box.querySelectorAll("thead th, td, tr")].filter((one) => alpha(one) === 1).length;
    box.scrollLeft = box.scrollWidth;
    const last = box.querySelector("thead th:last-child").getBoundingClientRect().right;
    return { wide, told, covering, seen: last <= box.getBoundingClientRect().right };
  });
}

function wide_tables(frame) {
  const room = frame.contentDocument.documentElement.clientWidth;
  return [...frame.contentDocument.querySelectorAll("table")].filter((t) => t.getBoundingClientRect().right > room + 1).map((t) => t.textContent.slice(0, 80));
}

const shown = (element) => element.getClientRects().length > 0;
const texts = (elements) => [...elements].filter(shown).map((one) => one.firstChild?.textContent.trim() ?? "");

async function study_table(frame) {
  const page = frame.contentDocument, said = {};
  const section = page.querySelector("section.table:has(.controls select)");
  const [metric] = section.querySelectorAll("select");
  const board = () => [...section.querySelectorAll(".board")].find(shown);
  const input = (element, value) => { element.value = value; element.dispatchEvent(new Event("input")); };
  said.metrics = [...metric.options].map((one) => one.value);
  said.first = texts(board().querySelectorAll("thead th.number button"));
  input(metric, said.metrics.at(-1));
  said.other = texts(board().querySelectorAll("thead th.number button"));
  const all = section.querySelector("[type=checkbox]");
  all.click();
  said.all = texts(board().querySelectorAll("thead th.number button"));
  all.click();
  const sort = [...board().querySelectorAll("thead th.number button")].find(shown);
  const column = sort.parentElement.cellIndex;
  const values = () => [...board().querySelectorAll("tbody tr")].filter(shown).map((row) => row.cells[column].firstChild.textContent.trim());
  sort.click();
  said.down = values();
  sort.click();
  said.up = values();
  const filter = section.querySelector("[type=search]");
  const names = () => texts(board().querySelectorAll("tbody th"));
  said.names = names();
  input(filter, "EASE");
  said.filtered = names();
  input(filter, "");
  const cell = [...board().querySelectorAll("tbody td")].find((td) => shown(td) && td.querySelector(".printed"));
  cell.focus();
  await wait(50);
  const bubble = page.getElementById("bubble");
  said.bubble = bubble.hidden ? "" : bubble.textContent;
  return said;
}

async function runs_table(frame) {
  const page = frame.contentDocument, said = {};
  const rows = () => [...page.querySelectorAll("#runs tbody tr")].filter(shown).map((row) => row.cells[0].textContent);
  said.rows = rows();
  page.querySelectorAll("#runs thead button")[0].click();
  await wait(200);
  said.sorted = rows();
  const search = page.getElementById("runs-filter");
  search.value = "sdiff seed-0";
  search.dispatchEvent(new Event("input"));
  await wait(600);
  said.found = rows();
  return said;
}

async function ask() {
  const pages = JSON.parse(document.body.dataset.pages);
  for (const width of [1280, 400]) {
    for (const name of pages) {
      const frame = await open_page(name, width);
      const page = frame.contentDocument;
      answers[`${name} ${width}`] = {
        axe: await accessible(frame), clipped: clipped(frame), colours: fixed_colours(frame), unseen: out_of_sight(frame), leaders: leaders(frame), pictures: pictures(frame), overflow: page.documentElement.scrollWidth - page.documentElement.clientWidth,
        charts: [page.querySelectorAll(".chart").length, page.querySelectorAll(".chart svg").length],
      };
      if (width === 1280 && name === "study-fixture.html") answers.study = await study_table(frame);
      if (width === 1280 && name === "runs.html") answers.runs = await runs_table(frame);
      frame.remove();
    }
  }
  for (const name of pages) {
    const frame = await open_page(name, 1031, true); // A4 across, less its margins
    const page = frame.contentDocument;
    const folded = [...page.querySelectorAll("details")].filter((one) => !one.open).length;
    const gone = [...page.querySelectorAll("th[data-metric]")].filter((th) => !shown(th)).length;
    const heights = [...page.querySelectorAll("#runs tbody tr")].map((row) => row.getBoundingClientRect().height);
    const buttons = [...page.querySelectorAll("thead button")].map((one) => frame.contentWindow.getComputedStyle(one).display);
    const narrow = [...page.querySelectorAll("#runs tbody :is(th, td)")].filter((cell) => cell.textContent && cell.getBoundingClientRect().width < 14).length;
    answers[`${name} print`] = { wide: wide_tables(frame), folded, gone, heights, buttons, narrow, pictures: pictures(frame) };
    frame.remove();
  }
}

addEventListener("load", async () => {
  try { await ask(); } catch (error) { answers.error = `${error}\n${error.stack}`; }
  const result = document.createElement("pre");
  result.id = "result";
  result.textContent = JSON.stringify(answers);
  document.body.append(result);
});
