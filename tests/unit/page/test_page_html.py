"""Elements of pages: everything is escaped, attributes too, and charts leave out what is no number."""

from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from dagrow.page.charts import Series, chart
from dagrow.page.html import element, joined, table, text_block

ANY = st.text(alphabet="a<>&\"' \u00e9\n\t\x00\x1b\u202e]-!", max_size=12)


@given(ANY, ANY)
@settings(max_examples=50, deadline=None)
def test_text_comes_back_as_it_was_but_for_control_characters(text, attribute):
    found = ElementTree.fromstring(element("p", element("b", text), text, title=attribute))
    shown = (found.find("b").text or "", found.find("b").tail or "", found.get("title"))
    expected = ["".join(c if c.isprintable() else "?" for c in part) for part in (text, text, attribute)]
    assert list(shown) == expected
    ElementTree.fromstring(text_block(text))


def test_elements_are_not_escaped_twice():
    found = element("p", "a < b & ", joined([element("b", '"c"')]), None, class_="x", aria_label="d", id=None)
    assert found == '<p class="x" aria-label="d">a &lt; b &amp; <b>"c"</b></p>'
    assert table(("a",), [("<td>",)]).count("<td>") == 1


def test_a_chart_of_what_are_numbers():
    points = ((0.0, 1.0), (1.0, None), (2.0, float("nan")), (3.0, 0.5))
    found = chart("loss", [Series("train", points), Series("none", ((0.0, None),))], marks=[1.0])
    root = ElementTree.fromstring(found)
    (line,) = root.findall("polyline")
    assert len(line.get("points").split()) == 2
    assert [text.text for text in root.findall("text")].count("train") == 1
    assert len([each for each in root.findall("line") if each.get("class") == "mark"]) == 1
    assert chart("loss", [Series("train", ((0.0, 1.0),))]) is None
    flat = chart("loss", [Series("train", ((0.0, 1.0), (2.0, 1.0)), steps=True)])
    assert len(ElementTree.fromstring(flat).find("polyline").get("points").split()) == 3
