"""HTTP and WebSocket handlers, one module for each part of the API. Shells around pure parts."""
