// Interactive charts from the specifications that stand in the page.
"use strict";

// Colours are names of the page's own, so that charts follow light, dark and paper without being drawn again.
function colours(room) {
  const text = { labelColor: "var(--ink)", titleColor: "var(--ink)" };
  return {
    background: null, font: "system-ui, sans-serif", view: { stroke: "var(--line)" },
    axis: { ...text, gridColor: "var(--line)", domainColor: "var(--line)", tickColor: "var(--line)", labelFontSize: 12, titleFontSize: 12 },
    legend: {
      ...text, orient: "top", labelFontSize: 12, columns: Math.max(1, Math.floor(room / 160)), symbolBaseFillColor: "var(--ink)", symbolBaseStrokeColor: "var(--ink)",
      layout: { top: { direction: "vertical", anchor: "start", margin: 6 } },
    },
    header: { ...text, labelFontSize: 13, labelFontWeight: 600, labelLimit: 340 },
    text: { color: "var(--ink)", fontSize: 12 }, rule: { color: "var(--ink)" }, line: { color: "var(--ink)" },
    range: { category: [1, 2, 3, 4, 5, 6, 7, 8].map((number) => `var(--series-${number})`) },
  };
}

async function draw(place) {
  const spec = JSON.parse(place.dataset.spec);
  const room = place.clientWidth;
  const panels = new Set(spec.data.values.map((point) => point[spec.facet.field])).size;
  spec.columns = Math.max(1, Math.min(spec.columns, panels, Math.floor(room / 420)));
  spec.spec.width = Math.min(panels === 1 ? 620 : 440, Math.floor(room / spec.columns) - 90);
  const target = document.createElement("div");
  await vegaEmbed(target, spec, { ast: true, renderer: "svg", actions: false, defaultStyle: false, config: colours(room), tooltip: { disableDefaultStyle: false } });
  // The place has a label; the marks would be announced one by one.
  target.querySelector("svg").setAttribute("aria-hidden", "true");
  place.replaceChildren(target);
}

document.querySelectorAll(".chart").forEach((place) => draw(place).catch((error) => console.error(error)));
