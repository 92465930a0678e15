"""A renderer of capsules: from a scene to pixels."""
