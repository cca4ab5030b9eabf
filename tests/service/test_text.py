import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.text import (
    normalise,
    normalise_aligned,
    split_paragraphs,
    tokenise,
    word_spans,
)


@pytest.mark.parametrize(
    ("written", "normalised"),
    [
        ("NATO", "nato"),
        ("Straße", "strasse"),
        ("Jérôme", "jerome"),
        ("İstanbul", "istanbul"),
        ("ﬁne", "fine"),
        ("Chile’s “claim” – now…", 'chile\'s "claim" - now...'),
        ("co\u00adoperate zero\u200bwidth", "cooperate zerowidth"),
        ("a\x00b\tc", "a b c"),
        ("Tom &amp; Jerry&#39;s &gt; 5", "tom & jerry's > 5"),
        ("<p>Steel<br/>tariffs</p>", " steel tariffs "),
        ('a <a href="x">link</a>', "a  link "),
        ("&lt;b&gt;bold&lt;/b&gt;", " bold "),
        ("<script>var x = 1;</script>end", "  end"),
        ("a < b and c > d", "a < b and c > d"),
        ("привет, Мир。", "привет, мир "),
    ],
)
def test_text_is_normalised(written: str, normalised: str) -> None:
    assert normalise(written) == normalised


def test_words_are_cut_at_everything_that_is_no_letter_or_digit() -> None:
    assert tokenise(normalise("The U.S.-led Su-35s' 1,200 km – «flight»")) == [
        *("the", "u", "s", "led", "su", "35s", "1", "200", "km", "flight"),
    ]


@given(st.text())
def test_composed_and_decomposed_writing_of_a_text_are_the_same(text: str) -> None:
    composed, decomposed = (unicodedata.normalize(form, text) for form in ("NFKC", "NFKD"))
    # A compatibility form may bring out markup, which is read before characters are folded.
    if not {"<", ">", "&"} & set(composed):
        assert normalise(composed) == normalise(decomposed) == normalise(text)


@given(st.text())
def test_everything_outside_ascii_that_is_left_belongs_to_a_word(text: str) -> None:
    words = "".join(tokenise(normalise(text)))
    assert all(character in words for character in normalise(text) if not character.isascii())


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("<>&;#abp/ é\u0301"))))
def test_aligned_normalising_gives_the_same_text_with_origins_in_order(text: str) -> None:
    normalised, origins = normalise_aligned(text)
    assert normalised == normalise(text)
    assert len(origins) == len(normalised)
    assert all(0 <= start < end <= len(text) for start, end in origins)
    assert origins == sorted(origins)


def test_origins_point_at_the_words_as_they_were_written() -> None:
    text = "<b>Cafe\u0301s</b> in Köln &amp; Straßburg"
    normalised, origins = normalise_aligned(text)
    found = [
        text[origins[start].start : origins[end - 1].end] for start, end in word_spans(normalised)
    ]
    assert found == ["Cafe\u0301s", "in", "Köln", "Straßburg"]


@pytest.mark.parametrize(
    ("article", "paragraphs"),
    [
        ("one\ntwo\r\nthree", ["one", "two", "three"]),
        ("one\nstill one\n\n two \n \n\nthree\n", ["one\nstill one", "two", "three"]),
        ("\n\n  only \n", ["only"]),
        ("one\r\n\r\ntwo\rthree", ["one", "two\rthree"]),
        (" \n\t\n", []),
    ],
)
def test_an_article_is_split_into_its_paragraphs(article: str, paragraphs: list[str]) -> None:
    assert [article[start:end] for start, end in split_paragraphs(article)] == paragraphs
