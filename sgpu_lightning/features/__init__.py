"""Features of answer sets, the inputs of the GP: Gram matrix, eigenspectrum and feature blocks."""
