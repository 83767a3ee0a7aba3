"""The ground: what happened in a conversation. Pure, and importing nothing of ours above it."""
