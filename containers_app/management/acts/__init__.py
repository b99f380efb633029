"""Operations from the terminal: the same wishes as those of the API, followed to their end."""
