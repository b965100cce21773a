"""Tables and figures made from finished rows; nothing here starts an episode."""
