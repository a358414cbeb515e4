"""What reports share: charts, numbers as texts, safe texts, templates and the style sheet."""
