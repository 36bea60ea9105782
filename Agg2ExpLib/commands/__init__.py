"""The command line's verbs, one file each: ``add_parser`` says what it takes, the function it names does it."""
