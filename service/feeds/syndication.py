"""Writes items as Atom, RSS 2.0 and JSON Feed 1.1.

The XML is written by feedgenerator, which is Django's own syndication code on its own: well kept,
and made to be extended in subclasses. (feedgen, the other library in wide use, has had no release
since 2023, loses the ``rel`` of an entry's links and writes an Atom ``source`` without an id.)
Excerpts are published as text, so that no script, tracker or relative link is passed on.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any, NamedTuple

from feedgenerator import Atom1Feed, Rss201rev2Feed
from feedgenerator.django.utils.feedgenerator import rfc3339_date
from feedgenerator.django.utils.xmlutils import SimplerXMLGenerator

from service.feeds.items import Item
from service.topics import DEFINITIONS

MEDIA_TOPICS = "http://cv.iptc.org/newscodes/mediatopic/"  # scheme of the codes of the IPTC

_AUTHOR = "geotopics"
_NO_ITEMS = datetime.fromtimestamp(0, UTC)  # an empty feed was last changed at no time


class Channel(NamedTuple):
    """What is said of a feed as a whole.

    Attributes
    ----------
    title, description : str
    address : str
        Where the feed is; also its id.
    page : str
        A page for people.
    topics : str
        Where the topics are defined; the scheme of their categories.
    """

    title: str
    description: str
    address: str
    page: str
    topics: str


Write = Callable[[Channel, Sequence[Item]], str]


def last_change(items: Sequence[Item]) -> datetime:
    """Tell when the latest change of these items was."""
    return max((item.changed for item in items), default=_NO_ITEMS)


def _atom(channel: Channel, items: Sequence[Item]) -> str:
    return _xml(_Atom, channel, items)


def _rss(channel: Channel, items: Sequence[Item]) -> str:
    return _xml(_Rss, channel, items)


def _json(channel: Channel, items: Sequence[Item]) -> str:
    feed = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": channel.title,
        "description": channel.description,
        "home_page_url": channel.page,
        "feed_url": channel.address,
        "authors": [{"name": _AUTHOR}],
        "items": [_json_item(channel, item) for item in items],
    }
    return json.dumps(feed, ensure_ascii=False)


FORMATS: dict[str, tuple[str, Write]] = {
    "atom": ("application/atom+xml", _atom),
    "rss": ("application/rss+xml", _rss),
    "json": ("application/feed+json", _json),
}
"""Media type and writer of each format, by the extension of its address."""


class _Category(NamedTuple):
    scheme: str
    term: str
    label: str


def _categories(channel: Channel, item: Item) -> Iterator[_Category]:
    for topic in item.topics:
        yield _Category(channel.topics, topic, topic)
    for definition in DEFINITIONS:
        if definition.name in item.topics:
            for code, label in definition.media_topics:
                yield _Category(MEDIA_TOPICS, code, label)


def _json_item(channel: Channel, item: Item) -> dict[str, Any]:
    found = {
        "id": item.id,
        "url": item.link,
        "title": item.title,
        "content_text": item.text or item.title,
        "date_published": rfc3339_date(item.published),
        "date_modified": rfc3339_date(item.updated),
        "authors": [{"name": item.author or item.source.title}],
        "tags": list(item.topics),
        "_geotopics": {
            "primary": item.primary,
            "scores": item.scores,
            "model": item.model,
            "source": {"title": item.source.title, "url": item.source.url},
            "categories": [category._asdict() for category in _categories(channel, item)],
        },
    }
    return {name: value for name, value in found.items() if value is not None}


def _xml(kind: "type[_Atom | _Rss]", channel: Channel, items: Sequence[Item]) -> str:
    feed = kind(
        title=channel.title,
        link=channel.page,
        description=channel.description,
        subtitle=channel.description,
        author_name=_AUTHOR,
        feed_url=channel.address,
        feed_guid=channel.address,
        changed=last_change(items),
    )
    for item in items:
        paragraphs = (item.text or item.title).split("\n\n")
        feed.add_item(
            title=item.title,
            # Atom wants a link, and an id is an address of a kind.
            link=item.link or item.id,
            description="".join(f"<p>{escape(text, quote=False)}</p>" for text in paragraphs),
            author_name=item.author or item.source.title,
            pubdate=item.published,
            updateddate=item.updated,
            unique_id=item.id,
            unique_id_is_permalink=False,
            source=item.source,
            changed=item.changed,
            scheme_categories=list(_categories(channel, item)),
        )
    return str(feed.writeString("utf-8"))


class _Atom(Atom1Feed):  # type: ignore[misc]
    def latest_post_date(self) -> datetime:
        changed: datetime = self.feed["changed"]
        return changed

    def add_item_elements(self, handler: SimplerXMLGenerator, item: Mapping[str, Any]) -> None:
        super().add_item_elements(handler, item)
        for category in item["scheme_categories"]:
            handler.addQuickElement("category", None, category._asdict())
        source = item["source"]
        handler.startElement("source", {})
        handler.addQuickElement("id", source.url)
        handler.addQuickElement("title", source.title)
        handler.addQuickElement("updated", rfc3339_date(item["updateddate"]))
        handler.addQuickElement("link", None, {"rel": "self", "href": source.url})
        if source.link:
            handler.addQuickElement("link", None, {"rel": "alternate", "href": source.link})
        handler.endElement("source")


class _Rss(Rss201rev2Feed):  # type: ignore[misc]
    def latest_post_date(self) -> datetime:
        changed: datetime = self.feed["changed"]
        return changed

    def add_item_elements(self, handler: SimplerXMLGenerator, item: Mapping[str, Any]) -> None:
        super().add_item_elements(handler, item)
        for category in item["scheme_categories"]:
            handler.addQuickElement("category", category.term, {"domain": category.scheme})
        handler.addQuickElement("source", item["source"].title, {"url": item["source"].url})
