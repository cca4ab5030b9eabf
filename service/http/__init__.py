"""The HTTP layer: translates between requests and the classifier, and decides nothing."""

from contextlib import suppress

from flask import Flask, Response

from service.config import Settings
from service.current import CurrentModel
from service.errors import ModelError
from service.http import classify, docs, feeds, pages, problems, status

_PAGE_HEADERS = {
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
}


def create_app(settings: Settings, current: CurrentModel | None = None) -> Flask:
    """Build the application.

    Parameters
    ----------
    settings : Settings
        The installation's settings.
    current : CurrentModel, optional
        The model to answer with where it has been loaded before, in the process that this one was
        forked from; else it is loaded here.

    Returns
    -------
    Flask
        A WSGI application; it answers 503 for as long as there is no model.
    """
    app = Flask(__name__)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    # Addresses are answered as they are or not at all: a redirect is no answer to a program.
    app.url_map.merge_slashes = False

    current = current or CurrentModel(settings.models)
    with suppress(ModelError):
        current.get()  # so that the first request need not wait for it
    problems.init_app(app)
    app.register_blueprint(classify.blueprint(settings, current))
    app.register_blueprint(status.blueprint(current))
    app.register_blueprint(feeds.blueprint(settings))
    app.register_blueprint(docs.blueprint(settings))
    app.register_blueprint(pages.blueprint(settings, current))
    app.after_request(_secure)
    return app


def _secure(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    if response.mimetype == "text/html":
        for name, value in _PAGE_HEADERS.items():
            response.headers.setdefault(name, value)
    return response
