"""Where and how simulations run: seeds in blocks, over devices and over hosts."""
