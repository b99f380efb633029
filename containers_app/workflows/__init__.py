"""What each verb decides: in what order, with what clean-up. No SDK word, no Celery word."""
