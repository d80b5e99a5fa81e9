"use strict";
// Buttons that copy a table as LaTeX or Markdown, from the data in the page (reports/page/copies.py).
(() => {
  const packed = document.getElementById("copies");
  const FORMATS = ["LaTeX", "Markdown"];
  const SECONDS = 2;

  // Table -> format -> text, unpacked at the first click.
  const unpack = () => {
    const bytes = Uint8Array.from(atob(packed.textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).json();
  };
  let texts = null;

  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Without the permission, or where the page has no clipboard: from a field of its own.
      const field = document.createElement("textarea");
      field.value = text;
      document.body.append(field);
      field.select();
      const copied = document.execCommand("copy");
      field.remove();
      return copied;
    }
  };

  const said = document.createElement("p");
  said.className = "skip";
  said.setAttribute("role", "status");
  document.body.append(said);

  for (const name of packed.dataset.tables.split(" ")) {
    const table = document.getElementById(`table-${name}`);
    if (!table) continue;
    let files = table.querySelector(".files");
    if (!files) {
      files = document.createElement("p");
      files.className = "files";
      table.append(files);
    }
    const title = table.querySelector(".scroll")?.getAttribute("aria-label") ?? name;
    for (const format of FORMATS) {
      const button = document.createElement("button");
      const label = `Copy ${format}`;
      button.type = "button";
      button.className = "file";
      button.textContent = label;
      button.setAttribute("aria-label", `${label} of ${title}`);
      button.addEventListener("click", async () => {
        texts ??= unpack();
        const copied = await copy((await texts)[name][format]);
        button.focus();
        button.textContent = copied ? "Copied" : "Not copied";
        said.textContent = `${title}: ${copied ? `copied as ${format}` : "could not be copied"}`;
        setTimeout(() => { button.textContent = label; }, 1000 * SECONDS);
      });
      files.append(" ", button);
    }
  }
})();
