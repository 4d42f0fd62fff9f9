"""Answer sets as Lightning data: sources, table, splits by group, batches and the data module."""
