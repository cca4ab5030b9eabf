"""Polls news feeds with the `reader` library and tags every item."""

TAG = "geotopics"  # key of an entry's tag; `service.feeds.plugin` says what it holds
