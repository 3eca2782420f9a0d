// Draws each diagram of the page in the colours of its theme, and anew when the theme changes.
(() => {
  const dark = () => {
    const chosen = document.body.dataset.theme;
    return chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  };
  const sources = [...document.querySelectorAll(".mermaid-source")].map((block) => ({
    block,
    text: block.querySelector("pre").textContent,
  }));
  let drawn = null;
  const draw = async () => {
    if (drawn === dark()) return;
    drawn = dark();
    mermaid.initialize({ startOnLoad: false, securityLevel: "strict", theme: drawn ? "dark" : "neutral", fontFamily: "inherit" });
    for (const [index, { block, text }] of sources.entries()) {
      const { svg } = await mermaid.render(`diagram-${index}-${drawn}`, text);
      block.className = "diagram";
      block.innerHTML = svg;
    }
  };
  addEventListener("DOMContentLoaded", () => {
    draw();
    new MutationObserver(draw).observe(document.body, { attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  });
})();
