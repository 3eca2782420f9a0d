"""The landing page answers in one screen, with what is true."""

import re

from rayces_core.cli.demo_walls import KEYS, SCOPE
from tests.docs.site import DOCS, ROOT

PAGE = (DOCS / "index.md").read_text()


def test_it_has_two_commands_and_a_picture():
    assert len(re.findall(r"^\$ ", PAGE, re.MULTILINE)) == 2
    assert "images/demo.svg" in PAGE


def test_the_picture_is_what_the_demo_says_and_loads_nothing():
    picture = (DOCS / "images" / "demo.svg").read_text()
    assert "http" not in re.sub(r'xmlns="[^"]*"', "", picture)
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", picture).replace("&#160;", " "))
    for said in ("rayces demo", "attempts were refused", SCOPE, "2 row-level", KEYS):
        assert said in words


def test_the_package_points_to_the_changelog_that_the_site_includes():
    assert "../CHANGELOG.md" in (DOCS / "changelog.md").read_text()
    assert (ROOT / "CHANGELOG.md").exists()
