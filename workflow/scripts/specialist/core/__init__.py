"""What every room needs: errors, rows of text, chat templates, progress, hardware.

It imports no other room.
"""
