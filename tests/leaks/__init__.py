"""Sessions that begin and end in every way, by the thousand: nothing is left."""
