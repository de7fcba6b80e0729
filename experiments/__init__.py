"""One file an idea: the experiments made to see it. Imported as idealab.experiments; they never see the theory."""
