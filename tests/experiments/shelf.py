"""A stand-in for the writer of a sample store."""


class Shelf:
    """Keeps what a writer of a store would be given."""

    def __init__(self):
        self.rows = []

    def add(self, **row):
        self.rows.append(row)
