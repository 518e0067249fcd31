"""The engine's version, which every step's digest holds instead of the engine's code.

Raise VERSION if the engine changes what a step receives: its arguments, seeds, or checkpoints.
All steps then run again. A test compares CONTRACT with the code of contract.py and checkpoints.py,
so that nobody forgets the version.
"""

VERSION = 2
CONTRACT = "c143c5db203b675e"
