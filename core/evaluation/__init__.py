"""What a model is worth: clips, continuous streams, and pictures of what it sees."""
