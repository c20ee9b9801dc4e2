"""Compiled code of the simulator: restricted Python that numba, a C compiler and CUDA turn into the same bits."""
