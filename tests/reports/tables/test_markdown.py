import pytest

from reports.tables import markdown


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("digits_in_scenes", "digits_in_scenes"),
        ("_emphasis_", r"\_emphasis\_"),
        ("a|b", r"a\|b"),
        ("<script>&", "&lt;script&gt;&amp;"),
        ("two\n# lines", r"two \# lines"),
        ("*x* `y` [z] ~w~ $m$", r"\*x\* \`y\` \[z\] \~w\~ \$m\$"),
        ("back\\slash", r"back\\slash"),
    ],
)
def test_text_is_shown_as_it_is(text, escaped):
    assert str(markdown.escape(text)) == escaped
    assert markdown.escape(markdown.escape(text)) == escaped, "what is escaped stays"


def test_code_block_cannot_be_closed_by_its_text():
    lines = str(markdown.code_block("a\n````\nb")).splitlines()
    assert lines[0] == "`````text" and lines[-1] == "`````"


def test_link_escapes_its_label():
    assert str(markdown.link("a]b", "x%20y")) == r"[a\]b](x%20y)"
