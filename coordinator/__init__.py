"""The coordinator: shares out channels, watches listeners, tracks conversations."""
