"""Paragraphs written for these tests."""

TARIFFS = "The government raised tariffs on imported steel, and exporters warned of a trade war."
TROOPS = "Troops backed by artillery and air strikes took the base after a week of fighting."
BORDER = "Both countries claim the islands, and neither accepts the maritime boundary."
SUMMIT = "The foreign ministers agreed at their summit to resume talks and exchange envoys."
ARTICLE = f"{TARIFFS}\n\n{TROOPS}\n\n{SUMMIT}\n"
