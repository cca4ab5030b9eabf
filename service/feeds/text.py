"""Reduces a feed item's title and HTML to the paragraphs that are tagged.

HTML is parsed by lxml, which is well kept and comes with trafilatura anyway.
"""

import re
from collections.abc import Iterator

from lxml import etree

from service.text import split_paragraphs

MAX_PARAGRAPHS = 300  # an item with more is a book; the rest of it is left untagged
MAX_CHARACTERS = 20_000  # of one paragraph; the rest of a longer one is left out

_BLOCKS = frozenset(
    """
    address article aside blockquote body caption center dd details div dl dt fieldset figcaption
    figure footer form h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre section summary table tbody
    td tfoot th thead tr ul
    """.split()  # noqa: SIM905 - a list of quoted names would be a page long
)
_UNSEEN = {"head", "iframe", "noscript", "object", "script", "style", "svg", "template", "textarea"}
_SPACE = re.compile(r"\s+")


def paragraphs(title: str | None, content: str, *, html: bool) -> list[str]:
    """Split an item into paragraphs.

    Parameters
    ----------
    title : str or None
        The item's title, which may hold markup; the first paragraph.
    content : str
        Its summary or content.
    html : bool
        Whether `content` is HTML; else it is plain text.

    Returns
    -------
    list of str
        At most `MAX_PARAGRAPHS` texts without markup and of at most `MAX_CHARACTERS` each; none is
        empty.
    """
    text = html_to_text(content) if html else content
    parts = [text[start:end] for start, end in split_paragraphs(text)]
    heading = html_to_text(title or "").strip()
    if heading:
        parts.insert(0, heading)
    return [_flat(part)[:MAX_CHARACTERS] for part in parts[:MAX_PARAGRAPHS]]


def html_to_text(html: str) -> str:
    """Take the text out of HTML.

    Parameters
    ----------
    html : str
        A fragment or page, however broken.

    Returns
    -------
    str
        Its text with a blank line between paragraphs; what a browser does not show is left out.
    """
    if "<" not in html and "&" not in html:
        return html
    # Bytes, as lxml refuses text that names its encoding; a null character would end it.
    data = html.replace("\0", " ").encode("utf-8", "replace")
    root = etree.fromstring(b"<body>" + data, etree.HTMLParser(encoding="utf-8"))
    return "" if root is None else "".join(_pieces(root))


def _pieces(root: "etree._Element") -> Iterator[str]:
    walk = etree.iterwalk(root, events=("start", "end", "comment", "pi"))
    for event, element in walk:
        if event == "start" and element.tag in _UNSEEN:
            walk.skip_subtree()
        elif event == "start":
            if element.tag in _BLOCKS:
                yield "\n\n"
            yield _flat(element.text)
        else:
            if element.tag in _BLOCKS:
                yield "\n\n"
            elif element.tag == "br":
                yield "\n"
            yield _flat(element.tail)


def _flat(text: str | None) -> str:
    return _SPACE.sub(" ", text) if text else ""
