"""Parts of the Agg2Exp panel: one class or one idea a file.

The folders are layers: a file imports only from its own folder and from folders that stand left of it.

    engine < setup < words < scene < drawing < panel

``engine`` runs child processes, ``setup`` finds and installs packages, ``words`` puts names into the user's words, ``scene`` knows
MRML, ``drawing`` paints widgets of our own, ``panel`` has the sections and what they share.
"""
