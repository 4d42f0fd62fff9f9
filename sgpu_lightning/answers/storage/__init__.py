"""The store: shards of records and vectors on disk."""
