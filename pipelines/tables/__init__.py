"""Tables: read, written, split and binned as Ibis expressions, which DuckDB runs today and Spark can tomorrow."""
