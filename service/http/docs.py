"""``GET /openapi.json`` and ``GET /docs``: the interface, for programs and for people.

The page is Swagger UI with the assets of the package flask-swagger-ui and a start-up script of our
own, so that the page needs no inline script and asks nothing of any other machine.
"""

import json
from pathlib import Path

import flask_swagger_ui
from flask import Blueprint, Response, render_template, send_from_directory

from service.config import Settings
from service.http.openapi import document

_ASSETS = Path(flask_swagger_ui.__file__).parent / "dist"

# Swagger UI sets style attributes and has its icons in data: addresses.
_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def blueprint(settings: Settings) -> Blueprint:
    """Build the routes of the documentation."""
    routes = Blueprint("docs", __name__)
    published = json.dumps(document(settings), ensure_ascii=False)

    @routes.get("/openapi.json")
    def openapi() -> Response:
        return Response(published, content_type="application/json")

    @routes.get("/docs")
    def page() -> Response:
        response = Response(render_template("docs.html"), content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = _POLICY
        return response

    @routes.get("/docs/<path:name>")
    def asset(name: str) -> Response:
        return send_from_directory(_ASSETS, name)

    return routes
