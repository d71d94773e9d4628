"""Real worlds behind the same spaces as the learned ones; nothing here knows the model."""
