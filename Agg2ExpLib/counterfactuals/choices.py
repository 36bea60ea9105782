"""What can be asked, for menus and command lines: nothing here loads anything."""

LESS, MORE = "less", "more"
DIRECTIONS = ("both", LESS, MORE)
OBJECTIVES = ("auto", "logit", "probability")
FRAMES = 10  # a direction
