"""The `sgpu` command: one file for each verb, in a folder for each group of verbs."""
