"""Magnetic resonance imaging: what the nuclear spins do (`spins`), how their places become an image
(`encoding`), and what goes wrong on the way (`artifacts`)."""
