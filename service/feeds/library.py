"""Opens the feeds of one installation: ``feeds.sqlite`` in its instance folder."""

import os
from collections.abc import Callable
from typing import Any

from service.config import Settings

# The copy of feedparser inside reader 3.26 needs a module that feedparser's own newer releases do
# without; this is reader's switch for using those. It must stand before reader is used.
os.environ.setdefault("READER_NO_VENDORED_FEEDPARSER", "1")

from reader import Reader, ReaderError, make_reader

from service.current import CurrentModel
from service.feeds import fetch
from service.feeds.database import DATABASE, FeedsError
from service.feeds.plugin import Tagger


def open_reader(settings: Settings, tagger: Tagger | None = None) -> Reader:
    """Open the feeds of an installation; the file is made where there is none.

    Parameters
    ----------
    settings : Settings
        Says where, and what may be fetched.
    tagger : Tagger, optional
        Tags what is new; unless given, the current model does.

    Returns
    -------
    Reader
        Use it as a context manager, once per thread. Entries get their tags under `TAG`.

    Raises
    ------
    FeedsError
        The database cannot be opened.
    """
    path = settings.instance / DATABASE
    tagger = tagger or Tagger(CurrentModel(settings.models).get)
    try:
        settings.instance.mkdir(parents=True, exist_ok=True)
        return make_reader(str(path), plugins=[tagger.init_reader, _secure(settings)])
    except (OSError, ReaderError) as error:
        raise FeedsError(f"the feeds in {path} cannot be opened: {error}") from error


def _secure(settings: Settings) -> Callable[[Reader], None]:
    # reader documents this way to its retriever for plugins, and uses it in those it ships.
    def init_reader(reader: Reader) -> None:
        @reader._parser.lazy_init
        def init_parser(parser: Any) -> None:
            session = parser.get_retriever("https://").session
            fetch.secure(session, allow_private=settings.allow_private)

    return init_reader
