"""Live recognition: the path from camera frames to gesture events.

``ticks`` takes frames at the model's rate, ``core.decision`` turns logits into events,
``recognizer`` joins both with the model, ``sources`` delivers frames. The Kotlin and Swift apps
implement ticks and decisions again; ``tests/vectors/`` holds all three to the same answers.
"""
