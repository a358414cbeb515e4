"""Verb `monitor`: judge the predictions and labels of production since the last pass."""
