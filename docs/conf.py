"""How Sphinx makes the documentation site of these pages: `make docs`. The pages ask no other host for anything."""

import os
import sys
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
# The help of the commands is as wide as the page, and without colours, whatever the terminal.
os.environ |= {"COLUMNS": "88", "NO_COLOR": "1"}

project = "Ringback"
author = "The Ringback developers"
release = version = metadata.version("ringback")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "beyond",
    "diagrams",
    "names",
    "public",
    "code_tables",
]
exclude_patterns = ["_ext", "_static"]
nitpicky = True

# Headings have GitHub's anchors, so that a link works on both sites.
myst_heading_anchors = 4
# A picture with a width is written as GitHub reads it, and is copied to the site like any other.
myst_enable_extensions = ["html_image"]
# GitHub draws such a fence by itself.
myst_fence_as_directive = ["mermaid"]

autodoc_member_order = "bysource"
maximum_signature_line_length = 90
autodoc_default_options = {"members": True, "undoc-members": True}

html_theme = "furo"
html_title = "Ringback"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_favicon = "../middleware/ringback/console/static/icon.svg"
html_search_scorer = str(HERE / "search.js")
pygments_dark_style = "github-dark"
html_copy_source = False
html_theme_options = {
    "source_repository": "https://github.com/ringback/ringback/",
    "source_branch": "main",
    "source_directory": "docs/",
}

# What a reader copies is what a reader types: no prompt, and no line that a command printed.
copybutton_prompt_text = "$ "
copybutton_here_doc_delimiter = "EOF"
