"""Settings of the documentation's site; `docs/site/build.py` gathers its pages and runs Sphinx."""

project = "ktrans"
author = "The ktrans authors"
copyright = "The ktrans authors"

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
nitpicky = True

# Links to headings are written as GitHub names them, so that pages can be read there as well.
myst_heading_anchors = 4
myst_enable_extensions = []

html_theme = "furo"
html_title = "ktrans"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_use_index = False
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}
