"""Methods of the literature, each with its config, its losses, its training step and the paper's kind of inference."""
