"""``/feeds/…``, ``/opml`` and ``/v1/entries``: what was tagged, for feed readers and programs."""

import gzip
import logging
from datetime import datetime
from xml.etree import ElementTree as ET

from flask import Blueprint, Response, request, url_for
from pydantic import ValidationError
from werkzeug.urls import iri_to_uri

from service.config import Settings
from service.feeds.database import Database, FeedsError
from service.feeds.items import described, printable
from service.feeds.selection import Selection, select
from service.feeds.syndication import FORMATS, Channel, last_change
from service.http import problems
from service.http.problems import ProblemError
from service.http.schemas import (
    EntriesAnswer,
    EntriesQuery,
    EntryAnswer,
    FeedQuery,
    FeedsStatusAnswer,
)
from service.topics import TOPICS

OPML = "text/x-opml"
ANY = "any"  # in the place of a topic
CHOICES = (ANY, *TOPICS)

_JSON = "application/json"
_logger = logging.getLogger(__name__)


def blueprint(settings: Settings) -> Blueprint:
    """Build the routes of what was tagged."""
    routes = Blueprint("feeds", __name__)
    database = Database(settings.instance)

    @routes.get("/feeds/<topic>.<form>")
    def feed(topic: str, form: str) -> Response:
        if topic not in CHOICES or form not in FORMATS:
            raise ProblemError(
                404, f"The feeds are {', '.join(CHOICES)}, each as {', '.join(FORMATS)}."
            )
        selection = _selection(FeedQuery, () if topic == ANY else (topic,))
        items = select(database, selection).items
        media_type, write = FORMATS[form]
        return _answer(write(_channel(selection), items), media_type, last_change(items))

    @routes.get("/opml")
    def opml() -> Response:
        return _answer(_opml(), OPML)

    @routes.get("/v1/entries")
    def entries() -> Response:
        page = select(database, _selection(EntriesQuery))
        body = EntriesAnswer(
            entries=[EntryAnswer.model_validate(described(item)) for item in page.items],
            next=page.cursor,
        )
        return _answer(body.model_dump_json(), _JSON, last_change(page.items))

    @routes.get("/v1/feeds/status")
    def status() -> Response:
        body = FeedsStatusAnswer(model=None, done=0, total=0)
        if database.path.exists():
            # reader takes longer to import than all that serving needs.
            from service.feeds.library import open_reader  # noqa: PLC0415
            from service.feeds.plugin import progress  # noqa: PLC0415

            with open_reader(settings) as reader:
                body = FeedsStatusAnswer.model_validate(progress(reader))
        return Response(body.model_dump_json(), content_type=_JSON)

    @routes.errorhandler(FeedsError)
    def failed(error: FeedsError) -> Response:
        _logger.error("%s", error)
        return problems.answer(
            ProblemError(503, "The feeds cannot be read at present; the server's log says why.")
        )

    return routes


def _selection(query: type[FeedQuery], topics: tuple[str, ...] = ()) -> Selection:
    for name, values in request.args.lists():
        if len(values) > 1:
            raise ProblemError.of_field(422, name, "A parameter may be given once")
    try:
        asked = query.model_validate(request.args.to_dict())
    except ValidationError as error:
        raise ProblemError.of_validation(error) from None
    return Selection(
        topics=(*topics, *asked.topics),
        every=asked.all == "1",
        source=asked.source or None,
        words=asked.q or None,
        since=asked.since,
        limit=asked.limit,
        after=(isinstance(asked, EntriesQuery) and asked.after) or None,
    )


def _channel(selection: Selection) -> Channel:
    topics = (" and " if selection.every else " or ").join(dict.fromkeys(selection.topics))
    words = f", {selection.words}" if selection.words else ""
    source = f", from {selection.source}" if selection.source else ""
    return Channel(
        title=printable(f"geotopics: {topics or 'any topic'}{words}"),
        description=printable(f"Entries of news feeds on {topics or 'any topic'}{words}{source}"),
        address=iri_to_uri(request.url),
        page=url_for("pages.home", _external=True),
        topics=url_for("status.model", _external=True),
    )


def _opml() -> str:
    root = ET.Element("opml", version="2.0")
    ET.SubElement(ET.SubElement(root, "head"), "title").text = "geotopics"
    body = ET.SubElement(root, "body")
    for topic in CHOICES:
        ET.SubElement(
            body,
            "outline",
            type="rss",
            text=f"geotopics: {topic}",
            xmlUrl=url_for("feeds.feed", topic=topic, form="atom", _external=True),
            htmlUrl=url_for("pages.home", _external=True),
        )
    return ET.tostring(root, "unicode", xml_declaration=True)


def _answer(text: str, media_type: str, changed: datetime | None = None) -> Response:
    body = text.encode()
    response = Response(content_type=f"{media_type}; charset=utf-8")
    if media_type == _JSON:
        response.content_type = _JSON
    if request.accept_encodings["gzip"] > 0:
        body = gzip.compress(body, mtime=0)  # without a time the same body gets the same ETag
        response.content_encoding = "gzip"
    response.set_data(body)
    response.vary.add("Accept-Encoding")
    response.cache_control.no_cache = True
    response.last_modified = changed
    response.add_etag()
    response.make_conditional(request)
    return response
