import pytest

from service.feeds.text import MAX_CHARACTERS, MAX_PARAGRAPHS, paragraphs


def test_blocks_and_blank_lines_part_paragraphs_and_other_markup_does_not() -> None:
    html = "<p>One <b>two</b>\nthree</p>tail<div>a<br>b<br><br>c</div><ul><li>1<li>2</ul>"
    assert paragraphs("T &amp; <i>t</i>", html, html=True) == [
        "T & t",
        "One two three",
        "tail",
        "a b",
        "c",
        "1",
        "2",
    ]


def test_what_a_browser_does_not_show_is_left_out() -> None:
    html = "<style>p {}</style><p>Seen<!-- not --> words</p><script>let unseen</script><p>more</p>"
    assert paragraphs(None, html, html=True) == ["Seen words", "more"]


def test_plain_text_keeps_its_signs() -> None:
    assert paragraphs("a", "1 < 2\n\n<b>", html=False) == ["a", "1 < 2", "<b>"]


@pytest.mark.parametrize("html", ["", " \n ", "<!-- -->", "<p></p>", "<?xml version='1.0'?>"])
def test_an_item_without_words_has_no_paragraphs(html: str) -> None:
    assert paragraphs(" ", html, html=True) == []


def test_broken_and_hostile_html_gives_what_can_be_read() -> None:
    assert paragraphs(None, "<?xml encoding='latin-1'?><p>é\ud800\0x", html=True) == ["é? x"]
    assert paragraphs(None, "<div>" * 100_000 + "deep", html=True) in (["deep"], [])
    assert len(paragraphs(None, "<p>x" * 10_000, html=True)) == MAX_PARAGRAPHS
    assert len(paragraphs(None, "x" * 100_000, html=True)[0]) == MAX_CHARACTERS
