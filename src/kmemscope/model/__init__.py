"""The nouns: frozen values without I/O. Everything seen becomes one of these, everything said is made from them."""
