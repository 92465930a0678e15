"""What serves the live page: frames in over a WebSocket, answers out."""
