"""What can be asked, for menus and command lines: nothing here loads anything."""

LESS, MORE = "less", "more"
DIRECTIONS = ("both", LESS, MORE)
VOLUME, LOGIT = "volume", "logit"
OBJECTIVES = ("auto", VOLUME, LOGIT)
FRAMES = 10  # a direction
SMOOTH_MM = 6.0  # across the slices
