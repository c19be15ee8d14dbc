"""Computed tomography: X-rays, projections, reconstruction, artifacts."""
