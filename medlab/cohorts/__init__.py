"""A virtual hospital: heads with exact ground truth, drawn from one real anatomy and scanned by `medlab.physics`."""
