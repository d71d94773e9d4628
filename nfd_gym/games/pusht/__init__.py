"""PushT: an agent pushes a T-shaped block onto its goal; deterministic to the bit."""
