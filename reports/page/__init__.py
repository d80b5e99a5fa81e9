"""The HTML and Markdown pages: sections, blocks and templates."""
