"""One file a part of the report: record in, neutral blocks out."""
