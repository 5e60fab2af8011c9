// A filter above the table of runs: a row stays if it holds every word.
"use strict";
const runs = [...document.querySelectorAll("#runs tbody tr")].map((row) => [row, row.textContent.toLowerCase()]);
const words = make("input", { type: "search", id: "runs-filter" });
const count = make("span", { className: "soft" });
words.addEventListener("input", () => {
  const wanted = words.value.toLowerCase().split(/\s+/);
  for (const [row, text] of runs) row.hidden = !wanted.every((word) => text.includes(word));
  count.textContent = `${runs.filter(([row]) => !row.hidden).length} of ${runs.length} runs`;
});
document.querySelector(".scroll:has(#runs)").before(make("div", { className: "controls" }, make("label", {}, "show rows that hold all of these words", words), count));
