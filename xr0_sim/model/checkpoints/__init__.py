"""Weight files: the layout that ships and the released layout."""
