"""Style and script of the HTML reports, written into every report."""
