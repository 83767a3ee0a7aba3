"""Tests: `unit/` needs nothing but Python, `integration/` real services, `chaos/` breaks them."""
