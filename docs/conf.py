"""Sphinx configuration: ``python -m sphinx -W -b html docs docs/_build/html``."""

import os
from typing import Any

from sphinx_gallery.sorting import ExplicitOrder

import balance_graph

project = "balance_graph"
author = "The balance_graph developers"
project_copyright = "2026, the balance_graph developers"
release = version = balance_graph.__version__
SOURCE = "https://github.com/balance-graph/balance_graph"

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "sphinx-mathjax-offline",  # formulas and their fonts come from the site itself
]
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb"}
exclude_patterns = [
    "_build",
    "examples",
    "how-to/*.ipynb",
    "jupyter_execute",
    "**/sg_execution_times.rst",
    "sg_execution_times.rst",
    "**/.ipynb_checkpoints",
]
templates_path = ["_templates"]
language = "en"

# Pages are programs: every build runs every cell, and a cell that fails or writes to stderr fails the build.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_in_temp = True  # pages that write files leave none behind
nb_execution_show_tb = True
nb_output_stderr = "remove-warn"
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath", "substitution"]
myst_substitutions = {"version": version}
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # the changelog is a document of its own, included in a page

autosummary_generate = ["api/index.md"]
autosummary_imported_members = False
# Names that differ from another only in the case of a letter would share a file on some systems.
autosummary_filename_map = {
    "balance_graph.Activation": "balance_graph.Activation-class",
    "balance_graph.Attainment": "balance_graph.Attainment-class",
    "balance_graph.Manifold": "balance_graph.Manifold-class",
}
autodoc_typehints = "none"  # types are in the numpydoc sections, in words
autodoc_member_order = "bysource"
default_role = "autolink"  # a name in single backticks links if it is an object, and is emphasized if not
rst_prolog = r".. |w| replace:: \|w\|"  # docstrings write |w| for the size of a weight
numpydoc_show_class_members = False

# Every reference must lead somewhere, but for what is documented elsewhere (the build reads no inventories from the
# net), private bases and modules that docstrings name, and parameters that share the name of an object.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(cvxpy|enum|networkx|numpy|scipy|sklearn)\..*"),
    (r"py:.*", r"balance_graph\.(\w+\._\w+|points\.(clusters|nested_sets))"),
    (r"py:obj", r"degree|problem"),
]

# Stories are scripts: run by every build as well, with a thumbnail, a notebook and links from the reference.
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "how-to",
    "filename_pattern": r"\.py",
    "within_subsection_order": ExplicitOrder(
        [
            "connectome.py",
            "rate_network.py",
            "convolution.py",
            "mixed_activations.py",
            "own_regularizer.py",
            "no_balance.py",
            "same_up_to_scaling.py",
            "eigenvalues.py",
            "constraint.py",
            "training.py",
        ]
    ),
    "abort_on_example_error": True,
    "copyfile_regex": r".*\.csv",
    "remove_config_comments": True,
    "write_computation_times": False,
    "min_reported_time": 1e6,
    "capture_repr": (),
    "show_memory": False,
    "show_signature": False,
    "doc_module": ("balance_graph",),
    "backreferences_dir": "api/backreferences",
    "image_scrapers": ("matplotlib",),
}

# Links to the pages of other packages, where the net is there to look them up.
if os.environ.get("READTHEDOCS"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "cvxpy": ("https://www.cvxpy.org/", None),
        "networkx": ("https://networkx.org/documentation/stable/", None),
        "numpy": ("https://numpy.org/doc/stable/", None),
        "python": ("https://docs.python.org/3/", None),
        "scipy": ("https://docs.scipy.org/doc/scipy/", None),
        "torch": ("https://docs.pytorch.org/docs/stable/", None),
    }

html_theme = "pydata_sphinx_theme"
html_title = "balance_graph"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_sidebars = {"index": [], "install": [], "faq": []}  # pages without neighbors
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "show_prev_next": True,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["version"],
    "icon_links": [
        {"name": "Source", "url": SOURCE, "icon": "fa-brands fa-github"},
        {"name": "PyPI", "url": "https://pypi.org/project/balance-graph/", "icon": "fa-brands fa-python"},
    ],
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],
    "pygments_light_style": "default",
    "pygments_dark_style": "github-dark",
}
copybutton_exclude = ".linenos, .gp, .go"
copybutton_prompt_text = ">>> "


def _keep_ellipsis(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:  # noqa: ARG001
    """Three dots in a formula would end the sentence that the tables of the reference show."""
    for k, line in enumerate(lines[:3]):
        lines[k] = line.replace(" ... ", " … ")


def setup(app: Any) -> None:
    """Connect the above."""
    app.connect("autodoc-process-docstring", _keep_ellipsis)
