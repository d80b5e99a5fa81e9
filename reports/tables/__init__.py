"""Tables: texts decided once, and written as HTML, Markdown, LaTeX and CSV."""
