"""The model file: its signature, how raw values become its inputs, features, scoring, critical cases."""
