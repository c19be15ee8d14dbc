"""Magnetic resonance imaging: what the nuclear spins do (`spins`)."""
