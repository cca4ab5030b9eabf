"""Errors whose message tells a user what is wrong and what to do next."""


class GeotopicsError(Exception):
    """Base of all errors that are caught in one place: the HTTP layer or the command line."""


class ModelError(GeotopicsError):
    """A model is missing, incomplete, altered or of another format."""
