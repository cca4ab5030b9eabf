"""What makes models: reads the corpus, fits, evaluates, saves."""
