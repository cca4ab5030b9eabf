"""The application for any WSGI server: ``service.wsgi:app``."""

from service.config import load
from service.http import create_app

app = create_app(load())
