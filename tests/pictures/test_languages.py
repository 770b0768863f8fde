import pytest

from pictures.languages import alternatives, default_text
from pictures.xmp import Value


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([("x-default", "A mill"), ("en", "A mill")], [("en", "A mill")]),
        ([("en", "A mill"), ("x-default", "A mill")], [("en", "A mill")]),
        ([("x-default", "A mill"), ("de", "Eine Mühle")], [("und", "A mill"), ("de", "Eine Mühle")]),
        ([("x-default", "Kiel"), ("de", "Kiel"), ("en", "Kiel")], [("de", "Kiel"), ("en", "Kiel")]),
        ([("", "A mill"), ("x-default", "A mill")], [("und", "A mill")]),
        ([("pt_br", "Moinho"), ("ZH-hant", "磨坊")], [("pt-BR", "Moinho"), ("zh-Hant", "磨坊")]),
        ([("no language at all", "A mill")], [("und", "A mill")]),
    ],
)
def test_each_text_stands_once_under_its_language(given, expected):
    assert alternatives(Value(*one) for one in given) == [Value(*one) for one in expected]


def test_the_default_is_what_is_marked_as_such_or_the_first():
    assert default_text([Value("de", "a"), Value("x-default", "b")]) == "b"
    assert default_text([Value("de", "a"), Value("en", "b")]) == "a"
    assert default_text([]) == ""
