"""What looks at the built pages finds what is wrong with them."""

import tests.docs.site  # noqa: F401 - where the site's extension is

from _site.built import faults  # isort: skip


def test_a_link_to_no_file_or_anchor_and_what_another_host_is_asked_for_are_faults(tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="b.html#there">1</a><a href="b.html#gone">2</a><a href="c.html">3</a><a href="#gone">4</a>'
        '<script src="https://cdn.example.org/x.js"></script><img src="lost.png"><a href="https://example.org/">5</a>'
    )
    (tmp_path / "b.html").write_text('<p id="there"></p><a href="a.html">back</a>')
    assert sorted(faults(tmp_path)) == [
        "a.html loads https://cdn.example.org/x.js from another host",
        "a.html: #gone leads to no anchor",
        "a.html: b.html#gone leads to no anchor",
        "a.html: c.html leads to no file",
        "a.html: lost.png leads to no file",
    ]


def test_pages_that_lead_everywhere_they_say_are_fine(tmp_path):
    (tmp_path / "a.html").write_text('<p id="ä"></p><a href="#%C3%A4">x</a><a href="a.html?x=1">y</a>')
    assert list(faults(tmp_path)) == []


def test_styles_load_nothing_from_another_host(tmp_path):
    (tmp_path / "a.html").write_text("<p></p>")
    (tmp_path / "a.css").write_text('@import url("https://fonts.example.org/a.css"); a { background: url(b.png) }')
    assert list(faults(tmp_path)) == ["a.css loads https://fonts.example.org/a.css from another host"]
