"""Polls news feeds with the `reader` library and tags every item."""
