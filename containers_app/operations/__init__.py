"""The only way in: one registry of verbs, one submit, one runner, one place that changes states."""
