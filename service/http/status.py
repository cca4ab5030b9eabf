"""``GET /v1/model``, ``/healthz`` and ``/readyz``: what answers here, and whether it can."""

from flask import Blueprint, Response

from service.current import CurrentModel
from service.http.schemas import HealthAnswer, ModelAnswer, ReadyAnswer, TopicAnswer
from service.topics import DEFINITIONS

_JSON = "application/json"


def blueprint(current: CurrentModel) -> Blueprint:
    """Build the routes of status."""
    routes = Blueprint("status", __name__)

    @routes.get("/v1/model")
    def model() -> Response:
        manifest = current.get().manifest
        body = ModelAnswer(
            version=manifest.version,
            trained_at=manifest.trained_at,
            topics=[TopicAnswer.model_validate(topic) for topic in DEFINITIONS],
            thresholds=manifest.thresholds,
            metrics=manifest.metrics,
        )
        return Response(body.model_dump_json(), content_type=_JSON)

    @routes.get("/healthz")
    def health() -> Response:
        return Response(HealthAnswer().model_dump_json(), content_type=_JSON)

    @routes.get("/readyz")
    def ready() -> Response:
        body = ReadyAnswer(model=current.get().manifest.version)
        return Response(body.model_dump_json(), content_type=_JSON)

    return routes
