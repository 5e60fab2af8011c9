// Interactive charts from the specifications that stand in the page.
"use strict";
const dark = matchMedia("(prefers-color-scheme: dark)");

function colours(room) {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  const text = { labelColor: of("--ink"), titleColor: of("--ink") };
  return {
    background: null, font: "system-ui, sans-serif", view: { stroke: of("--line") },
    axis: { ...text, gridColor: of("--line"), domainColor: of("--line"), tickColor: of("--line"), labelFontSize: 12, titleFontSize: 12 },
    legend: { ...text, orient: "top", labelFontSize: 12, columns: Math.max(1, Math.floor(room / 160)) }, header: { ...text, labelFontSize: 13, labelFontWeight: 600, labelLimit: 340 },
    text: { color: of("--ink"), fontSize: 12 }, rule: { color: of("--ink") }, line: { color: of("--ink") },
    range: { category: dark.matches ? ["#7cbcf0", "#f2a65a", "#8fd694", "#e28fc4", "#c7b8ff", "#e6d36a", "#9bd8d8", "#f08f8f"] : ["#0b5a94", "#b3560a", "#27762f", "#98306f", "#5b46a8", "#7a6a00", "#0f6e6e", "#a1260d"] },
  };
}

async function draw(place) {
  const spec = JSON.parse(place.dataset.spec);
  const room = place.clientWidth;
  spec.columns = Math.max(1, Math.min(spec.columns, Math.floor(room / 420)));
  spec.spec.width = Math.min(440, Math.floor(room / spec.columns) - 90);
  const target = document.createElement("div");
  await vegaEmbed(target, spec, { ast: true, renderer: "svg", actions: false, defaultStyle: false, config: colours(room), tooltip: { disableDefaultStyle: false } });
  // The place has a label; the marks would be announced one by one.
  target.querySelector("svg").setAttribute("aria-hidden", "true");
  place.replaceChildren(target);
}

const drawAll = () => document.querySelectorAll(".chart").forEach((place) => draw(place).catch((error) => console.error(error)));
dark.addEventListener("change", drawAll);
drawAll();
