"""The physics of the scanners: magnetic resonance in `mri`, X-ray computed tomography in `ct`."""
