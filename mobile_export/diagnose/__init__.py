"""Where an int8 bundle loses accuracy: rounding (``noise``) and other kernels (``divergence``)."""
