"""What can be asked, for menus and command lines: nothing here loads anything."""

ACTIONS = ("remove", "keep", "noise", "shift")
FILLS = ("surroundings", "blurred", "mean", "air", "soft_tissue")
