"""The prediction log and the labels of its rows, as Ibis tables."""
