"""Mainline: main is the production of a model. Every verb is run as `python -m pipelines VERB`."""
