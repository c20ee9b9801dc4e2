"""Small numerics that several domains share: quantile levels and proper scores. Arrays in, arrays out."""
