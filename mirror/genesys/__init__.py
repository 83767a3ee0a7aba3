"""The Genesys Cloud end: REST calls, their budget and errors, and which hosts to trust."""
