"""What runs: classifies paragraphs with a saved model, from Python, HTTP and the command line."""

from service.classifier import Classifier

__all__ = ["Classifier"]
