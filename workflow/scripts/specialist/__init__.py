"""The package that the workflow's scripts share; each room below says what belongs in it."""
