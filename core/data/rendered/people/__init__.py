"""People drawn in rooms before a camera: bodies, looks, light, motion, the camera's faults."""
