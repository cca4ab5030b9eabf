"""A Flask view that parses and answers the same JSON without classifying, on the same server.

Run with ``python -m tests.bench.bare``; settings are those of `geotopics serve`.
"""

from flask import Flask, Response, jsonify, request

from service import config, serve
from service.config import Settings

ANSWER = {
    "topics": ["trade", "diplomacy"],
    "primary": "trade",
    "scores": {
        "defense": 0.0003,
        "trade": 0.999999,
        "territorial-dispute": 0.00131,
        "diplomacy": 0.998949,
    },
    "coverage": 1.0,
    "reliable": True,
    "model": "d679f0a9a96c",
}


def create_app(settings: Settings) -> Flask:
    """Build the application, whatever the settings."""
    app = Flask(__name__)

    @app.post("/v1/classify")
    def classify() -> Response:
        request.get_json()
        return jsonify(ANSWER)

    return app


if __name__ == "__main__":
    serve.create_app = create_app  # type: ignore[attr-defined]
    serve.run(config.load())
