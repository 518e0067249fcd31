"""The package that the workflow's scripts share; each room below describes its contents."""
