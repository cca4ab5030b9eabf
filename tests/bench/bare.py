"""A Flask view that parses and answers the same JSON without classifying."""

from flask import Flask, Response, jsonify, request

app = Flask(__name__)

_ANSWER = {
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
    "model": "0123456789ab",
}


@app.post("/v1/classify")
def classify() -> Response:
    """Answer always the same."""
    request.get_json()
    return jsonify(_ANSWER)
