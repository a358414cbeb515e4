"""The model file: its signature, features and inputs, the rules of request values, scoring, critical cases."""
