"""How docs/ becomes a site: `make docs` builds it into build/docs; docs/site.md says why with these tools."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from rayces_core import __version__  # noqa: E402

project = "rayces-core"
author = "the authors of rayces-core"
project_copyright = "MIT licence"
release = version = __version__
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "_site",
]
exclude_patterns = ["_site", "_static", "package.json"]
suppress_warnings = ["misc.highlighting_failure"]  # an ellipsis in SQL stands for what is left out
nitpicky = True

# -- pages ------------------------------------------------------------------------------------------------------------

myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist", "html_image"]
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]
repository = "https://github.com/rayces/rayces-core/blob/main"  # for what pages link to outside docs/

# -- notebooks --------------------------------------------------------------------------------------------------------

nb_execution_mode = "force"  # once a build; an answer that was kept could be one of yesterday's library
nb_execution_timeout = 120
nb_execution_allow_errors = False
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True

# -- reference --------------------------------------------------------------------------------------------------------

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_default_options = {"show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

# -- looks ------------------------------------------------------------------------------------------------------------

html_theme = "furo"
html_title = "rayces-core"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
copybutton_prompt_text = r"\$ |>>> |=# "
copybutton_prompt_is_regexp = True
html_theme_options = {
    "top_of_page_buttons": [],
    "light_css_variables": {"color-brand-primary": "#14547c", "color-brand-content": "#14547c"},
    "dark_css_variables": {"color-brand-primary": "#7cc0ea", "color-brand-content": "#7cc0ea"},
}
