"""The console: Django's admin, one module a noun. Empty, because settings name `site` before any model is loaded."""
