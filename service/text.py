"""One normaliser and tokeniser, used by training and serving alike.

A paragraph is normalised in two steps, each of which keeps track of where a character came from:

1. Markup that feeds leave in: comments, scripts, styles and tags become a space, character
   references (``&amp;``, ``&#39;``) become their character. Tags that were themselves escaped
   (``&lt;b&gt;``) count as tags.
2. Folding, code point by code point: compatibility decomposition (NFKD), combining marks dropped,
   case folded, typographic quotes and dashes replaced, invisible characters dropped, and every
   other character outside ASCII that is no letter or digit turned into a space.

As folding looks at no neighbour, two texts without markup that have the same NFC or NFKC form are
normalised to the same string; and the only separators left are ASCII, which is what lets a scorer
cut words byte by byte. See Unicode Standard Annex #15 for the normalisation forms.
"""

import codecs
import html
import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

# Every alternative stops at the next "<", so that matching stays linear in the length of the text.
_MARKUP = re.compile(
    r"""
      (?P<tag>
          <(?P<raw>script|style)\b[^<>]*>[^<]*(?=</(?P=raw))
        | <[/!?a-z][^<>]*>
        | &lt;[/!?a-z](?:[^<>&]|&(?!lt;|gt;))*&gt;
      )
    | &(?:\#[0-9]{1,7}|\#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});
    """,
    re.IGNORECASE | re.VERBOSE,
)

# What the decomposition leaves of them.
_TYPOGRAPHIC = (
    dict.fromkeys("‘’‚‛′‹›`ʹ", "'") | dict.fromkeys("“”„‟«»", '"') | dict.fromkeys("‐‒–—―−", "-")
)

_WORD = re.compile(r"[0-9a-z\u0080-\U0010ffff]+")
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n")
_LINE_END = re.compile(r"\n")


class Span(NamedTuple):
    """Where something stands in a text, as character offsets ``[start, end)``."""

    start: int
    end: int


class _Fold(dict[int, str]):
    """Table for `str.translate` that works out a code point when it is first met."""

    def __missing__(self, code_point: int) -> str:
        folded = "".join(_fold_character(chr(code_point)))
        self[code_point] = folded
        return folded


def _fold_character(character: str) -> Iterator[str]:
    for part in unicodedata.normalize("NFKD", character):
        if not unicodedata.combining(part):
            yield from map(_fold_part, part.casefold())


def _fold_part(part: str) -> str:
    category = unicodedata.category(part)
    if category == "Cf":
        return ""
    if category == "Cc":
        return " "
    if part in _TYPOGRAPHIC:
        return _TYPOGRAPHIC[part]
    return part if part.isascii() or part.isalnum() or category[0] == "M" else " "


_FOLD = _Fold()


def normalise(text: str) -> str:
    """Normalise a paragraph.

    Parameters
    ----------
    text : str
        Any text, of any length.

    Returns
    -------
    str
        Text without markup, accents and capitals, in which every character that is not ASCII is
        part of a word.
    """
    return encode_normalised(text).decode().translate(_FOLD)


def encode_normalised(text: str) -> bytes:
    """Normalise a paragraph except for the ASCII characters in it, and encode it in UTF-8.

    Many times faster than `normalise`; for a scorer that takes capitals for small letters.

    Parameters
    ----------
    text : str
        Any text, of any length.

    Returns
    -------
    bytes
        UTF-8 of a text whose ``normalise`` is that of the given one, with capitals and control
        characters.
    """
    if "<" in text or "&" in text:
        text = _MARKUP.sub(_plain, text)
    return text.encode("ascii", _FOLD_ERRORS)


def _fold_run(error: UnicodeError) -> tuple[bytes, int]:
    """Fold the characters that the ASCII encoder stops at, which finds them fastest."""
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101 - for the type
    return error.object[error.start : error.end].translate(_FOLD).encode(), error.end


_FOLD_ERRORS = "geotopics.fold"
codecs.register_error(_FOLD_ERRORS, _fold_run)


def normalise_aligned(text: str) -> tuple[str, list[Span]]:
    """Normalise a paragraph and say where each character came from.

    Slower than `normalise`; for explanations, which point into the text as it was given.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    normalised : str
        The same as ``normalise(text)``.
    origins : list of Span
        For each character of `normalised` where its origin stands in `text`.
    """
    characters: list[str] = []
    origins: list[Span] = []

    def add(plain: str, origin: Span) -> None:
        folded = plain.translate(_FOLD)
        if folded:
            characters.extend(folded)
            origins.extend([origin] * len(folded))
        elif origins and origins[-1].end == origin.start:
            # A dropped mark belongs to the letter that it stands on.
            origins[-1] = Span(origins[-1].start, origin.end)

    position = 0
    for markup in _MARKUP.finditer(text):
        for index in range(position, markup.start()):
            add(text[index], Span(index, index + 1))
        add(_plain(markup), Span(*markup.span()))
        position = markup.end()
    for index in range(position, len(text)):
        add(text[index], Span(index, index + 1))
    return "".join(characters), origins


def _plain(markup: re.Match[str]) -> str:
    return " " if markup["tag"] else html.unescape(markup.group())


def tokenise(text: str) -> list[str]:
    """Cut normalised text into words.

    Parameters
    ----------
    text : str
        What `normalise` returned.

    Returns
    -------
    list of str
        Words in the order in which they stand in the text.
    """
    return _WORD.findall(text)


def word_spans(text: str) -> list[Span]:
    """Where the words that `tokenise` finds stand in normalised text.

    Parameters
    ----------
    text : str
        What `normalise` returned.

    Returns
    -------
    list of Span
        One a word, in the same order.
    """
    return [Span(*match.span()) for match in _WORD.finditer(text)]


def split_paragraphs(article: str) -> list[Span]:
    """Find the paragraphs of an article.

    Blank lines part paragraphs; a text without blank lines has one paragraph a line.

    Parameters
    ----------
    article : str
        Plain text, with any of the usual line ends.

    Returns
    -------
    list of Span
        Where the paragraphs stand, without the white space around them; empty ones left out.
    """
    lines = article.replace("\r\n", " \n").replace("\r", "\n")
    separator = _BLANK_LINE if _BLANK_LINE.search(lines.strip()) else _LINE_END
    spans = []
    start = 0
    for end in [*(match.start() for match in separator.finditer(lines)), len(lines)]:
        block = lines[start:end]
        stripped = block.strip()
        if stripped:
            first = start + block.index(stripped)
            spans.append(Span(first, first + len(stripped)))
        start = end
    return spans
