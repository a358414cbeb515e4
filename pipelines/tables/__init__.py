"""Tables: reading and writing files; Ibis expressions for splits and bins, which DuckDB runs, or another engine."""
