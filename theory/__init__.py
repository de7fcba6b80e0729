"""One file an idea: its idealized model and the derivation of what must then be seen. Imported as idealab.theory."""
