"""Does a bundle still compute what its checkpoint computes? See ``verify.__main__``."""
