"""Values and pure functions: numpy, scipy and scikit-image only."""
